"""Writes a CSV file with the generator's columns by Faker.

usage: faker_job.py FILE ROWS
"""

import csv
import sys

from faker import Faker

path, rows = sys.argv[1], int(sys.argv[2])
fake = Faker()
TYPES = ["view", "click", "add_to_cart", "purchase"]
CATEGORIES = ["electronics", "books", "clothing", "home"]
DEVICES = ["mobile", "desktop", "tablet"]
COLUMNS = [
    "event_id",
    "user_id",
    "product_id",
    "event_type",
    "event_time",
    "price",
    "category",
    "user_device",
    "user_location",
]

with open(path, "w", newline="", encoding="utf-8") as file:
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    for _ in range(rows):
        writer.writerow(
            [
                fake.uuid4(),
                fake.random_int(1, 100_000),
                fake.random_int(1, 10_000),
                fake.random_element(TYPES),
                fake.date_time_this_month().isoformat() + "Z",
                f"{fake.random_int(100, 100_000) / 100:.2f}",
                fake.random_element(CATEGORIES),
                fake.random_element(DEVICES),
                fake.city(),
            ]
        )
