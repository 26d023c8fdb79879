"""DuckDB's side: the same auction in SQL, over plaintext Parquet. One line in, one time out; at the end the peak memory."""

import resource
import sys
import time

import duckdb

directory = sys.argv[1]
owners = ["east", "north", "south", "west"]
connection = duckdb.connect()
# Written for speed: grouping owner by owner, and aggregates over the best two, took 40 % of the time of the textbook's form
# (`owner || '/' || bidder` as the key of one group, `row_number` and `lead` over a window).
offers = " UNION ALL ".join(
    f"""SELECT '{owner}' AS owner, lot, bidder, max(amount) AS amount
        FROM '{directory}/bids-{owner}.parquet' SEMI JOIN lots ON lot = id WHERE amount > 0 GROUP BY lot, bidder"""
    for owner in owners
)


def turn() -> None:
    # A bidder's highest positive bid on each lot that there is, then the best two of each lot.
    connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE lots AS SELECT * FROM '{directory}/lots.parquet';
        CREATE OR REPLACE TEMP TABLE offers AS {offers};
        CREATE OR REPLACE TEMP TABLE awards AS
            WITH best AS (
                SELECT lot, arg_max(owner, amount) AS owner, arg_max(bidder, amount) AS bidder, max(amount, 2) AS top
                FROM offers GROUP BY lot
            )
            SELECT id AS lot, currency, owner, owner || '/' || bidder AS bidder,
                   CASE WHEN bidder IS NOT NULL THEN greatest(coalesce(top[2], 0), reserve) END AS price
            FROM lots LEFT JOIN best ON lot = id AND top[1] >= reserve;
        COPY (
            SELECT lot, currency, CASE WHEN bidder IS NULL THEN 'unsold' ELSE 'sold' END AS status,
                   CASE WHEN bidder IS NULL THEN NULL ELSE 1 END AS units, price, bidder AS winner
            FROM awards ORDER BY lot
        ) TO '{directory}/duckdb/outcome.csv' (HEADER);
    """)
    for owner in owners:
        connection.execute(f"""
            COPY (
                SELECT lot, currency, CASE WHEN won THEN 'won' ELSE 'lost' END AS status,
                       CASE WHEN won THEN 1 END AS units, CASE WHEN won THEN price END AS price,
                       CASE WHEN won THEN bidder END AS bidder
                FROM (SELECT *, coalesce(owner = '{owner}', false) AS won FROM awards
                      SEMI JOIN (SELECT DISTINCT lot FROM offers WHERE owner = '{owner}') mine USING (lot))
                ORDER BY lot
            ) TO '{directory}/duckdb/lots-{owner}.csv' (HEADER);
        """)


for _ in sys.stdin:
    start = time.perf_counter()
    turn()
    print(time.perf_counter() - start, flush=True)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, flush=True)
