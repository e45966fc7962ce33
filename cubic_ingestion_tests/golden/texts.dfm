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
    "name": "header__change_seq",
    "type": "NUMERIC",
    "length": 0,
    "precision": 35,
    "scale": 0
   },
   {
    "name": "NAME",
    "type": "STRING",
    "length": 0,
    "precision": 0,
    "scale": 0
   },
   {
    "name": "WIDE_NAME",
    "type": "WSTRING",
    "length": 0,
    "precision": 0,
    "scale": 0
   },
   {
    "name": "NOTE",
    "type": "CLOB",
    "length": 0,
    "precision": 0,
    "scale": 0
   },
   {
    "name": "WIDE_NOTE",
    "type": "NCLOB",
    "length": 0,
    "precision": 0,
    "scale": 0
   },
   {
    "name": "TOKEN",
    "type": "BYTES",
    "length": 0,
    "precision": 0,
    "scale": 0
   },
   {
    "name": "PICTURE",
    "type": "BLOB",
    "length": 0,
    "precision": 0,
    "scale": 0
   },
   {
    "name": "SHAPE",
    "type": "GEOMETRY",
    "length": 0,
    "precision": 0,
    "scale": 0
   }
  ]
 }
}
