{
 "dfmVersion": "1.1",
 "fileInfo": {
  "startWriteTimestamp": "2022-03-04T00:00:00.000Z",
  "recordCount": 3,
  "errorCount": 0
 },
 "formatInfo": {
  "format": "delimited",
  "options": {
   "fieldDelimiter": ",",
   "nullValue": "",
   "quoteChar": "\"",
   "escapeChar": "",
   "recordDelimiter": "\n"
  }
 },
 "dataInfo": {
  "columns": [
   {
    "name": "FARE",
    "type": "NUMERIC",
    "length": 0,
    "precision": 10,
    "scale": 2
   },
   {
    "name": "SERIAL",
    "type": "NUMERIC",
    "length": 0,
    "precision": 38,
    "scale": 0
   },
   {
    "name": "SHARE",
    "type": "NUMERIC",
    "length": 0,
    "precision": 38,
    "scale": 38
   },
   {
    "name": "BARE_NUMBER",
    "type": "NUMERIC",
    "length": 0,
    "precision": 0,
    "scale": 0
   },
   {
    "name": "WIDE",
    "type": "NUMERIC",
    "length": 0,
    "precision": 45,
    "scale": 4
   },
   {
    "name": "FINE",
    "type": "NUMERIC",
    "length": 0,
    "precision": 2,
    "scale": 5
   },
   {
    "name": "HUNDREDS",
    "type": "NUMERIC",
    "length": 0,
    "precision": 4,
    "scale": -2
   },
   {
    "name": "FINEST",
    "type": "NUMERIC",
    "length": 0,
    "precision": 38,
    "scale": 40
   }
  ]
 }
}
