"""A server on asyncpg: asynchronous.py asyncpg ADDRESS DATABASE_URL; see threaded.py."""

import asyncio
import logging
import sys

import asyncpg

address, url = sys.argv[2:]
last_error = None


async def work(pool):
    async with pool.acquire(timeout=2) as connection:
        await connection.fetchval("SELECT 1")


async def answer(pool, path):
    global last_error
    if path != "/work":
        return last_error
    try:
        await work(pool)
        last_error = None
    except Exception as failure:
        last_error = f"{type(failure).__name__}: {failure}"
        logging.warning("work failed: %s", last_error)
    return last_error


async def serve(pool, reader, writer):
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            error = await answer(pool, head.split()[1].decode())
            body = (error or "ok").encode()
            status = "503 Service Unavailable" if error else "200 OK"
            writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main():
    pool = await asyncpg.create_pool(url, min_size=2, max_size=4)
    server = await asyncio.start_server(lambda *peer: serve(pool, *peer), *address.split(":"))
    await server.serve_forever()


asyncio.run(main())
