"""Real-shaped files, written by this package so that every odd byte in them is on purpose.

Regenerate with ``python -m cubic_ingestion_tests.golden``; a test compares the files with it.
"""

import gzip
from pathlib import Path

from cubic_ingestion_tests.golden.families import family_files

FOLDER = Path(__file__).parent

_RIDERS = (
    "header__change_seq,header__change_oper,header__timestamp,RIDER_ID,RIDER_NAME,EDW_INSERTED_DTM\n"
    '20220304101112130000000000000000007,I,2022-03-04 10:11:12.131313,11,"Zoë 🚋🚋",2022-03-04 10:12:13.7654321\n'
    '20220304101113140000000000000000008,U,2022-03-04 10:11:13.141414,12,"",2022-03-04 10:12:14.0000001\n'
    "20220304101114150000000000000000009,D,2022-03-04 10:11:14.151515,13,,"
)
_STOPS = (
    "\ufeffstop_name,stop_id,fare,is_open,first_train,opened_on\r\n"
    '"Wonderland, Upper Level",7,2.4000,TRUE,05:04:03.25,1954-01-19\r\n'
    '"Line one\r\nline ""two""",8,-0.5,0,23:59:59,0001-01-01\r\n'
    ",9,,,,9999-12-31\r\n"
)

FILES = {
    "20220304-101500123.csv.gz": gzip.compress(_RIDERS.encode(), mtime=0),
    "stops_20220304.csv": _STOPS.encode(),
    **family_files(),
}
