"""A server on psycopg_pool or SQLAlchemy: threaded.py psycopg-pool|sqlalchemy ADDRESS DATABASE_URL

`/work` asks the database through the pool; `/health` tells from memory how the last `/work` ended.
The pool has its library's defaults, except for its size (2 to 4) and the time to wait for a
connection (2 s).
"""

import http.server
import logging
import sys

library, address, url = sys.argv[1:]

if library == "psycopg-pool":
    from psycopg_pool import ConnectionPool

    pool = ConnectionPool(url, min_size=2, max_size=4, timeout=2, open=True)

    def work():
        with pool.connection() as connection:
            connection.execute("SELECT 1").fetchone()

else:
    import sqlalchemy

    url = url.replace("postgres://", "postgresql+psycopg://", 1)
    engine = sqlalchemy.create_engine(url, pool_size=2, max_overflow=2, pool_timeout=2)

    def work():
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text("SELECT 1")).fetchone()


last_error = None


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        global last_error
        if self.path == "/work":
            try:
                work()
                last_error = error = None
            except Exception as failure:
                last_error = error = f"{type(failure).__name__}: {failure}"
                logging.warning("work failed: %s", error)
        else:
            error = last_error
        body = (error or "ok").encode()
        self.send_response(503 if error else 200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


host, port = address.split(":")
Server((host, int(port)), Handler).serve_forever()
