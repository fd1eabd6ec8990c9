import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.sql.SQLException;
import java.util.concurrent.Executors;

/** A server on HikariCP: Server hikaricp ADDRESS DATABASE_URL; see ../python/threaded.py. */
public final class Server {
    private static HikariDataSource pool;
    private static volatile String lastError;

    public static void main(String[] args) throws IOException {
        URI url = URI.create(args[2]);
        HikariConfig config = new HikariConfig();
        config.setJdbcUrl(
            "jdbc:postgresql://" + url.getHost() + ":" + url.getPort() + url.getPath() + "?sslmode=disable");
        config.setUsername(url.getUserInfo().split(":")[0]);
        config.setMinimumIdle(2);
        config.setMaximumPoolSize(4);
        config.setConnectionTimeout(2000);
        pool = new HikariDataSource(config);

        String[] address = args[1].split(":");
        HttpServer server =
            HttpServer.create(new InetSocketAddress(address[0], Integer.parseInt(address[1])), 128);
        server.setExecutor(Executors.newCachedThreadPool());
        server.createContext("/work", exchange -> answer(exchange, lastError = work()));
        server.createContext("/", exchange -> answer(exchange, lastError));
        server.start();
    }

    private static String work() {
        try (var connection = pool.getConnection();
                var statement = connection.createStatement();
                var rows = statement.executeQuery("SELECT 1")) {
            rows.next();
            return null;
        } catch (SQLException failure) {
            System.err.println("work failed: " + failure.getMessage());
            return failure.getMessage();
        }
    }

    private static void answer(HttpExchange exchange, String error) throws IOException {
        byte[] body = (error == null ? "ok" : error).getBytes(StandardCharsets.UTF_8);
        exchange.sendResponseHeaders(error == null ? 200 : 503, body.length);
        exchange.getResponseBody().write(body);
        exchange.close();
    }
}
