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
    "name": "IS_OPEN",
    "type": "BOOLEAN",
    "length": 0,
    "precision": 0,
    "scale": 0
   },
   {
    "name": "IS_PAID",
    "type": "BOOLEAN",
    "length": 0,
    "precision": 0,
    "scale": 0
   },
   {
    "name": "RATIO",
    "type": "REAL4",
    "length": 0,
    "precision": 0,
    "scale": 0
   },
   {
    "name": "EXACT_RATIO",
    "type": "REAL8",
    "length": 0,
    "precision": 0,
    "scale": 0
   }
  ]
 }
}
