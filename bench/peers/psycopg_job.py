"""Loads files by psycopg: their bytes into COPY, or read and written again by pandas.

usage: psycopg_job.py bytes|pandas URL COLUMNS FILE...
"""

import io
import sys

import psycopg

mode, url, columns, *files = sys.argv[1:]


def whole(path):
    if mode == "bytes":
        return open(path, "rb")
    import pandas

    # As texts, which is quicker than types that COPY makes texts again.
    frame = pandas.read_csv(path, dtype=str, keep_default_na=False, na_values=[""])
    return io.BytesIO(frame.to_csv(index=False).encode())


with psycopg.connect(url) as connection:
    for path in files:
        statement = f"copy user_events ({columns}) from stdin (format csv, header)"
        with whole(path) as source, connection.cursor() as cursor, cursor.copy(statement) as copy:
            while block := source.read(1 << 20):
                copy.write(block)
        connection.commit()
