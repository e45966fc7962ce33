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
   "recordDelimiter": "\r\n"
  }
 },
 "dataInfo": {
  "columns": [
   {
    "name": "DAY",
    "type": "DATE",
    "length": 0,
    "precision": 0,
    "scale": 0
   },
   {
    "name": "CLOCK",
    "type": "TIME",
    "length": 0,
    "precision": 0,
    "scale": 0
   },
   {
    "name": "UNSTATED",
    "type": "DATETIME",
    "length": 0,
    "precision": 0,
    "scale": 0
   },
   {
    "name": "MILLIS",
    "type": "DATETIME",
    "length": 0,
    "precision": 0,
    "scale": 3
   },
   {
    "name": "MICROS",
    "type": "DATETIME",
    "length": 0,
    "precision": 0,
    "scale": 6
   },
   {
    "name": "TICKS",
    "type": "DATETIME",
    "length": 0,
    "precision": 0,
    "scale": 7
   },
   {
    "name": "NANOS",
    "type": "DATETIME",
    "length": 0,
    "precision": 0,
    "scale": 9
   },
   {
    "name": "END_DTM",
    "type": "DATETIME",
    "length": 0,
    "precision": 0,
    "scale": 7
   }
  ]
 }
}
