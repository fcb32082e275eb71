#!/usr/bin/env python3
"""The yardstick for the generator's speed: the columns of user_events made with Faker.

bench/faker_events.py [ROWS]           default: 100,000 rows

Writes CSV to standard output, and rows per second to standard error. It needs Faker (pip install faker).
"""

import csv
import sys
import time
from datetime import datetime, timedelta, timezone

from faker import Faker

EVENT_TYPES = ["view", "add_to_cart", "add_to_wishlist", "remove_from_cart", "purchase"]
CATEGORIES = ["Clothing, Shoes & Jewelry", "Electronics", "Home & Kitchen", "Books", "Beauty"]
DEVICES = ["Android phone", "iPhone", "Windows PC", "Mac", "iPad"]


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    fake = Faker()
    Faker.seed(7)
    end = datetime.now(timezone.utc)
    start = end - timedelta(hours=1)
    out = csv.writer(sys.stdout, lineterminator="\n")
    begun = time.perf_counter()
    out.writerow(
        ["event_id", "user_id", "product_id", "event_type", "event_time"]
        + ["price", "category", "user_device", "user_location"]
    )
    for _ in range(rows):
        out.writerow(
            [
                fake.uuid4(),
                fake.random_int(1, 20_000),
                fake.random_int(1, 2_000),
                fake.random_element(EVENT_TYPES),
                fake.date_time_between(start, end, timezone.utc).isoformat(),
                fake.pydecimal(right_digits=2, min_value=1, max_value=1_500),
                fake.random_element(CATEGORIES),
                fake.random_element(DEVICES),
                f"{fake.city()}, {fake.state_abbr()}",
            ]
        )
    seconds = time.perf_counter() - begun
    print(f"{rows} rows in {seconds:.2f} s: {rows / seconds:.0f} rows/s", file=sys.stderr)


main()
