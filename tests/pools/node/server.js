// A server on node-pg: server.js node-pg ADDRESS DATABASE_URL; see ../python/threaded.py.
const http = require("node:http");
const { Pool } = require("pg");

const [address, url] = process.argv.slice(3);
const [host, port] = address.split(":");
const pool = new Pool({ connectionString: url, max: 4, connectionTimeoutMillis: 2000 });
// Without a listener the loss of an idle connection ends the process.
pool.on("error", (error) => console.error("idle connection lost:", error.message));

let lastError = null;

async function answer(path) {
  if (path !== "/work") return lastError;
  try {
    await pool.query("SELECT 1");
    lastError = null;
  } catch (error) {
    lastError = error.message;
    console.error("work failed:", lastError);
  }
  return lastError;
}

const server = http.createServer(async (request, response) => {
  const error = await answer(request.url);
  response.writeHead(error ? 503 : 200, { "Content-Type": "text/plain" });
  response.end(error ?? "ok");
});
server.listen(Number(port), host);
