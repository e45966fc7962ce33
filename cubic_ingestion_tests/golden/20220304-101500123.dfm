{
    "dfmVersion": "1.1",
    "taskInfo": {"name": "", "sourceEndpoint": "", "sourceEndpointType": "", "operation": "dataProduced"},
    "fileInfo": {
        "name": "20220304-093000456.csv",
        "extension": "gz",
        "location": "incoming/cubic/ods_qlik/EDW.RIDER__ct",
        "startWriteTimestamp": "2022-03-04T10:14:59.500Z",
        "endWriteTimestamp": "",
        "firstTransactionTimestamp": null,
        "lastTransactionTimestamp": null,
        "content": "data",
        "recordCount": 3,
        "errorCount": 0
    },
    "formatInfo": {
        "format": "delimited",
        "options": {
            "fieldDelimiter": ",",
            "recordDelimiter": "\n",
            "nullValue": "",
            "quoteChar": "\"",
            "escapeChar": ""
        }
    },
    "dataInfo": {
        "sourceSchema": "EDW",
        "sourceTable": "RIDER",
        "targetSchema": "EDW",
        "targetTable": "RIDER__ct",
        "tableVersion": 1,
        "columns": [
            {"ordinal": 1, "name": "header__change_seq", "type": "NUMERIC", "length": 0, "precision": 35, "scale": 0, "primaryKeyPos": 0},
            {"ordinal": 2, "name": "header__change_oper", "type": "STRING", "length": 1, "precision": 0, "scale": 0, "primaryKeyPos": 0},
            {"ordinal": 3, "name": "header__timestamp", "type": "DATETIME", "length": 0, "precision": 0, "scale": 6, "primaryKeyPos": 0},
            {"ordinal": 1, "name": "RIDER_NAME", "type": "WSTRING", "length": 100, "precision": 0, "scale": 0, "primaryKeyPos": 2},
            {"ordinal": 1, "name": "RIDER_ID", "type": "INT4", "length": 10, "precision": 0, "scale": 0, "primaryKeyPos": 1},
            {"ordinal": 1, "name": "EDW_INSERTED_DTM", "type": "DATETIME", "length": 0, "precision": 0, "scale": 0, "primaryKeyPos": 0}
        ]
    }
}
