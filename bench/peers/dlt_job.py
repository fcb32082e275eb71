"""Loads files by dlt: read by pyarrow, handed over as CSV files that dlt loads by COPY.

usage: dlt_job.py append|merge URL WORK_FOLDER FILE...
"""

import os
import sys

mode, url, work, *files = sys.argv[1:]
os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
os.environ["DESTINATION__POSTGRES__CREDENTIALS"] = url

import dlt
from pyarrow import csv


@dlt.resource(name="user_events", primary_key="event_id", write_disposition=mode)
def events():
    for path in files:
        yield csv.read_csv(path)


pipeline = dlt.pipeline("bench", destination="postgres", dataset_name="dlt", pipelines_dir=work)
pipeline.run(events(), loader_file_format="csv")
