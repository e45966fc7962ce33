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
    "name": "TINY",
    "type": "INT1",
    "length": 0,
    "precision": 0,
    "scale": 0
   },
   {
    "name": "SMALL",
    "type": "INT2",
    "length": 0,
    "precision": 0,
    "scale": 0
   },
   {
    "name": "MIDDLE",
    "type": "INT3",
    "length": 0,
    "precision": 0,
    "scale": 0
   },
   {
    "name": "PLAIN",
    "type": "INT4",
    "length": 0,
    "precision": 0,
    "scale": 0
   },
   {
    "name": "LARGE",
    "type": "INT8",
    "length": 0,
    "precision": 0,
    "scale": 0
   },
   {
    "name": "U_TINY",
    "type": "UINT1",
    "length": 0,
    "precision": 0,
    "scale": 0
   },
   {
    "name": "U_SMALL",
    "type": "UINT2",
    "length": 0,
    "precision": 0,
    "scale": 0
   },
   {
    "name": "U_PLAIN",
    "type": "UINT4",
    "length": 0,
    "precision": 0,
    "scale": 0
   },
   {
    "name": "U_LARGE",
    "type": "UINT8",
    "length": 0,
    "precision": 0,
    "scale": 0
   }
  ]
 }
}
