"""A Spark Structured Streaming job: CSV files of a folder by foreachBatch and JDBC into user_events.

usage: spark_job.py FOLDER URL JAR CHECKPOINT FILES_PER_TRIGGER BATCH_SIZE REWRITE_INSERTS
"""

import sys

from pyspark.sql import SparkSession

folder, url, jar, checkpoint, files_per_trigger, batch_size, rewrite = sys.argv[1:]
SCHEMA = (
    "event_id string, user_id long, product_id long, event_type string, event_time timestamp,"
    "price decimal(10,2), category string, user_device string, user_location string"
)

spark = (
    SparkSession.builder.master("local[*]")
    .config("spark.jars", jar)
    .config("spark.driver.memory", "2g")
    .config("spark.ui.showConsoleProgress", "false")
    .getOrCreate()
)
reader = spark.readStream.schema(SCHEMA).option("header", "true")
if files_per_trigger != "0":
    reader = reader.option("maxFilesPerTrigger", files_per_trigger)


def write(frame, _):
    (
        frame.write.format("jdbc")
        .option("url", f"{url}&reWriteBatchedInserts={rewrite}")
        .option("dbtable", "user_events")
        .option("user", "bench")
        .option("driver", "org.postgresql.Driver")
        .option("batchsize", batch_size)
        .mode("append")
        .save()
    )


query = reader.csv(folder).writeStream.foreachBatch(write).option("checkpointLocation", checkpoint)
query.trigger(availableNow=True).start().awaitTermination()
spark.stop()
