"""DuckDB's side: the same auction in SQL, over plaintext Parquet. One line in, one time out; at the end the peak memory."""

import resource
import sys
import time

import duckdb

directory = sys.argv[1]
owners = ["east", "north", "south", "west"]
connection = duckdb.connect()
bids = " UNION ALL ".join(
    f"SELECT '{owner}' AS owner, lot, amount, bidder FROM '{directory}/bids-{owner}.parquet'" for owner in owners
)


def turn() -> None:
    # A bidder's highest positive bid on each lot that there is, then the best two of each lot.
    connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE lots AS SELECT * FROM '{directory}/lots.parquet';
        CREATE OR REPLACE TEMP TABLE offers AS
            SELECT lot, owner, owner || '/' || bidder AS bidder, max(amount) AS amount
            FROM ({bids}) SEMI JOIN lots ON lot = id
            WHERE amount > 0 GROUP BY ALL;
        CREATE OR REPLACE TEMP TABLE awards AS
            WITH ranked AS (
                SELECT *, row_number() OVER best AS place, lead(amount) OVER best AS second
                FROM offers WINDOW best AS (PARTITION BY lot ORDER BY amount DESC)
            )
            SELECT id AS lot, currency, owner, bidder,
                   CASE WHEN bidder IS NULL THEN NULL ELSE greatest(coalesce(second, 0), reserve) END AS price
            FROM lots LEFT JOIN ranked ON lot = id AND place = 1 AND amount >= reserve;
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
