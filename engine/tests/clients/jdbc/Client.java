// The JDBC driver of PostgreSQL: statements, batches, generated keys, cursors, savepoints, COPY, times, errors and what the metadata says.
// Run as `java -cp /usr/share/java/postgresql.jar Client.java jdbc:postgresql://...`: each check is a line `ok NAME` or `not ok NAME: reason`.

import java.io.StringReader;
import java.io.StringWriter;
import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.Date;
import java.sql.DriverManager;
import java.sql.ParameterMetaData;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.sql.Timestamp;
import java.sql.Types;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.UUID;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyManager;
import org.postgresql.util.PSQLException;

public class Client {
    interface Check {
        void run() throws Exception;
    }

    static Connection connection;
    static int failed = 0;

    public static void main(String[] arguments) throws Exception {
        try (Connection opened = DriverManager.getConnection(arguments[0])) {
            connection = opened;
            run("statement", Client::statement);
            run("tables", Client::tables);
            run("prepared", Client::prepared);
            run("many_times_prepared", Client::manyTimesPrepared);
            run("batch", Client::batch);
            run("rewritten_batch", () -> rewrittenBatch(arguments[0]));
            run("generated_keys", Client::generatedKeys);
            run("transaction", Client::transaction);
            run("savepoint", Client::savepoint);
            run("isolation", Client::isolation);
            run("cursor", Client::cursor);
            run("scrolling", Client::scrolling);
            run("copy", Client::copy);
            run("times", Client::times);
            run("types", Client::types);
            run("error", Client::error);
            run("timeout", Client::timeout);
            run("notification", Client::notification);
            run("result_metadata", Client::resultMetadata);
            run("parameter_metadata", Client::parameterMetadata);
            run("metadata_of_tables", Client::metadataOfTables);
            run("metadata_of_columns", Client::metadataOfColumns);
            run("metadata_of_keys", Client::metadataOfKeys);
            run("metadata_of_indexes", Client::metadataOfIndexes);
            run("metadata_of_references", Client::metadataOfReferences);
            run("metadata_of_types", Client::metadataOfTypes);
            run("updatable_rows", Client::updatableRows);
            run("reads_only", Client::readsOnly);
            execute("DROP TABLE flights, planes CASCADE");
        }
        System.exit(failed == 0 ? 0 : 1);
    }

    static void run(String name, Check check) throws Exception {
        try {
            check.run();
            System.out.println("ok " + name);
        } catch (Exception | AssertionError found) {
            failed += 1;
            System.out.println("not ok " + name + ": " + String.valueOf(found.getMessage()).replace('\n', ' '));
            if (!connection.getAutoCommit()) {
                connection.rollback();
                connection.setAutoCommit(true);
            }
        }
    }

    static void equal(Object found, Object expected) {
        if (!Objects.equals(found, expected)) {
            throw new AssertionError("found " + found + ", expected " + expected);
        }
    }

    static void execute(String sql) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.execute(sql);
        }
    }

    /** The rows of a query, with spaces between their columns. */
    static List<String> rows(ResultSet found, String... columns) throws SQLException {
        List<String> rows = new ArrayList<>();
        try (found) {
            while (found.next()) {
                List<String> row = new ArrayList<>();
                if (columns.length == 0) {
                    for (int at = 1; at <= found.getMetaData().getColumnCount(); at += 1) {
                        row.add(found.getString(at));
                    }
                }
                for (String column : columns) {
                    row.add(found.getString(column));
                }
                rows.add(String.join(" ", row.stream().map(String::valueOf).toList()));
            }
        }
        return rows;
    }

    static List<String> query(String sql) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            return rows(statement.executeQuery(sql));
        }
    }

    static void statement() throws Exception {
        equal(query("SELECT 1, 'a', true, NULL"), List.of("1 a t null"));
        try (Statement statement = connection.createStatement()) {
            equal(statement.execute("SELECT 1; SELECT 2"), true);
            equal(statement.getMoreResults(), true);
            equal(statement.getMoreResults(), false);
        }
        equal(connection.isValid(5), true);
    }

    static void tables() throws Exception {
        execute("CREATE TABLE planes (id serial PRIMARY KEY, tail varchar(10) NOT NULL UNIQUE, seats integer DEFAULT 100, price numeric(10,2))");
        execute("CREATE TABLE flights (id bigint GENERATED BY DEFAULT AS IDENTITY, plane integer NOT NULL REFERENCES planes ON DELETE CASCADE,"
            + " note text, at timestamptz, PRIMARY KEY (id, plane))");
        execute("CREATE INDEX flights_note ON flights (note, at DESC)");
        execute("COMMENT ON TABLE flights IS 'what flew'");
        execute("COMMENT ON COLUMN flights.note IS 'a note'");
    }

    static void prepared() throws Exception {
        try (PreparedStatement insert = connection.prepareStatement("INSERT INTO planes (tail, seats, price) VALUES (?, ?, ?)")) {
            insert.setString(1, "N1");
            insert.setInt(2, 150);
            insert.setBigDecimal(3, new BigDecimal("12.50"));
            equal(insert.executeUpdate(), 1);
            insert.setString(1, "N2");
            insert.setNull(2, Types.INTEGER);
            insert.setNull(3, Types.NUMERIC);
            equal(insert.executeUpdate(), 1);
        }
        try (PreparedStatement select = connection.prepareStatement("SELECT tail, seats, price FROM planes WHERE tail = ? OR seats > ? ORDER BY tail")) {
            select.setString(1, "N2");
            select.setLong(2, 100);
            equal(rows(select.executeQuery()), List.of("N1 150 12.50", "N2 null null"));
        }
    }

    static void manyTimesPrepared() throws Exception {
        // From the fifth time on the driver names the statement, and reads binary.
        try (PreparedStatement select = connection.prepareStatement("SELECT ?::integer + 1, ?::text, now()")) {
            for (int n = 0; n < 12; n += 1) {
                select.setInt(1, n);
                select.setString(2, "x" + n);
                try (ResultSet found = select.executeQuery()) {
                    found.next();
                    equal(found.getInt(1), n + 1);
                    equal(found.getString(2), "x" + n);
                    equal(found.getTimestamp(3) != null, true);
                }
            }
        }
    }

    static void batch() throws Exception {
        try (PreparedStatement insert = connection.prepareStatement("INSERT INTO flights (plane, note) VALUES (?, ?)")) {
            for (int n = 0; n < 100; n += 1) {
                insert.setInt(1, 1 + n % 2);
                insert.setString(2, "batch " + n);
                insert.addBatch();
            }
            equal(Arrays.stream(insert.executeBatch()).sum(), 100);
        }
        try (Statement statement = connection.createStatement()) {
            statement.addBatch("UPDATE flights SET note = 'x' WHERE note = 'batch 1'");
            statement.addBatch("DELETE FROM flights WHERE note = 'x'");
            equal(Arrays.toString(statement.executeBatch()), "[1, 1]");
        }
    }

    static void rewrittenBatch(String url) throws Exception {
        String more = url + (url.contains("?") ? "&" : "?") + "reWriteBatchedInserts=true";
        try (Connection other = DriverManager.getConnection(more);
                PreparedStatement insert = other.prepareStatement("INSERT INTO flights (plane, note) VALUES (?, ?)")) {
            for (int n = 0; n < 37; n += 1) {
                insert.setInt(1, 1);
                insert.setString(2, "rewritten");
                insert.addBatch();
            }
            insert.executeBatch();
        }
        equal(query("SELECT count(*) FROM flights WHERE note = 'rewritten'"), List.of("37"));
    }

    static void generatedKeys() throws Exception {
        try (PreparedStatement insert = connection.prepareStatement("INSERT INTO planes (tail) VALUES (?), (?)", Statement.RETURN_GENERATED_KEYS)) {
            insert.setString(1, "K1");
            insert.setString(2, "K2");
            equal(insert.executeUpdate(), 2);
            equal(rows(insert.getGeneratedKeys(), "id", "tail", "seats").size(), 2);
        }
        try (PreparedStatement insert = connection.prepareStatement("INSERT INTO planes (tail) VALUES (?)", new String[] {"id"})) {
            insert.setString(1, "K3");
            insert.executeUpdate();
            try (ResultSet keys = insert.getGeneratedKeys()) {
                equal(keys.next(), true);
                equal(keys.getInt(1) > 0, true);
                equal(keys.getMetaData().getColumnCount(), 1);
            }
        }
        execute("DELETE FROM planes WHERE tail LIKE 'K%'");
    }

    static void transaction() throws Exception {
        connection.setAutoCommit(false);
        execute("UPDATE planes SET seats = 1 WHERE tail = 'N1'");
        connection.rollback();
        equal(query("SELECT seats FROM planes WHERE tail = 'N1'"), List.of("150"));
        execute("UPDATE planes SET seats = 151 WHERE tail = 'N1'");
        connection.commit();
        connection.setAutoCommit(true);
        equal(query("SELECT seats FROM planes WHERE tail = 'N1'"), List.of("151"));
    }

    static void savepoint() throws Exception {
        connection.setAutoCommit(false);
        execute("UPDATE planes SET seats = 200 WHERE tail = 'N1'");
        Savepoint unnamed = connection.setSavepoint();
        try {
            execute("INSERT INTO planes (tail) VALUES ('N1')");
            throw new AssertionError("a key twice");
        } catch (SQLException error) {
            equal(error.getSQLState(), "23505");
        }
        connection.rollback(unnamed);
        Savepoint named = connection.setSavepoint("here");
        execute("DELETE FROM planes WHERE tail = 'N2'");
        connection.rollback(named);
        connection.releaseSavepoint(named);
        connection.commit();
        connection.setAutoCommit(true);
        equal(query("SELECT tail, seats FROM planes ORDER BY tail"), List.of("N1 200", "N2 null"));
    }

    static void isolation() throws Exception {
        for (int level : new int[] {Connection.TRANSACTION_READ_UNCOMMITTED, Connection.TRANSACTION_READ_COMMITTED,
                Connection.TRANSACTION_REPEATABLE_READ, Connection.TRANSACTION_SERIALIZABLE}) {
            connection.setTransactionIsolation(level);
            equal(connection.getTransactionIsolation(), level);
        }
    }

    static void cursor() throws Exception {
        connection.setAutoCommit(false);
        try (PreparedStatement select = connection.prepareStatement("SELECT n FROM generate_series(1, ?) AS s (n) ORDER BY n")) {
            select.setFetchSize(64);
            select.setInt(1, 1000);
            long sum = 0;
            try (ResultSet found = select.executeQuery()) {
                while (found.next()) {
                    sum += found.getLong(1);
                }
            }
            equal(sum, 500500L);
        }
        connection.commit();
        connection.setAutoCommit(true);
    }

    static void scrolling() throws Exception {
        try (Statement statement = connection.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_READ_ONLY);
                ResultSet found = statement.executeQuery("SELECT tail FROM planes ORDER BY tail")) {
            equal(found.last(), true);
            equal(found.getRow(), 2);
            equal(found.absolute(1), true);
            equal(found.getString("tail"), "N1");
        }
    }

    static void copy() throws Exception {
        CopyManager manager = connection.unwrap(PGConnection.class).getCopyAPI();
        StringBuilder text = new StringBuilder();
        for (int n = 0; n < 500; n += 1) {
            text.append("C").append(n).append(',').append(n).append('\n');
        }
        equal(manager.copyIn("COPY planes (tail, seats) FROM STDIN (FORMAT csv)", new StringReader(text.toString())), 500L);
        StringWriter out = new StringWriter();
        equal(manager.copyOut("COPY (SELECT tail, seats FROM planes WHERE tail LIKE 'C49_' ORDER BY seats) TO STDOUT", out), 10L);
        equal(out.toString().startsWith("C490\t490\n"), true);
        execute("DELETE FROM planes WHERE tail LIKE 'C%'");
    }

    static void times() throws Exception {
        try (PreparedStatement select = connection.prepareStatement("SELECT ?::timestamptz, ?::timestamp, ?::date, ?::timestamptz")) {
            Timestamp moment = Timestamp.from(Instant.parse("2013-01-01T05:06:07.123456Z"));
            for (int n = 0; n < 8; n += 1) {
                select.setTimestamp(1, moment);
                select.setObject(2, LocalDateTime.parse("2013-02-28T23:59:59.000001"));
                select.setObject(3, LocalDate.parse("1969-12-31"));
                select.setObject(4, OffsetDateTime.parse("2024-02-29T12:00:00+05:00"));
                try (ResultSet found = select.executeQuery()) {
                    found.next();
                    equal(found.getTimestamp(1), moment);
                    equal(found.getObject(2, LocalDateTime.class), LocalDateTime.parse("2013-02-28T23:59:59.000001"));
                    equal(found.getObject(3, LocalDate.class), LocalDate.parse("1969-12-31"));
                    equal(found.getDate(3), Date.valueOf("1969-12-31"));
                    equal(found.getObject(4, OffsetDateTime.class).withOffsetSameInstant(ZoneOffset.UTC), OffsetDateTime.parse("2024-02-29T07:00:00Z"));
                }
            }
        }
    }

    static void types() throws Exception {
        UUID id = UUID.fromString("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11");
        try (PreparedStatement select = connection.prepareStatement(
                "SELECT ?::boolean, ?::smallint, ?::bigint, ?::real, ?::double precision, ?::numeric(12,3), ?::bytea, ?::uuid, ?::jsonb, ?::text")) {
            for (int n = 0; n < 8; n += 1) {
                select.setBoolean(1, true);
                select.setShort(2, (short) -7);
                select.setLong(3, Long.MIN_VALUE);
                select.setFloat(4, 0.5f);
                select.setDouble(5, 0.1);
                select.setBigDecimal(6, new BigDecimal("123.456"));
                select.setBytes(7, new byte[] {0, (byte) 255});
                select.setObject(8, id);
                select.setString(9, "{\"a\": 1}");
                select.setString(10, "\u00e4'\\");
                try (ResultSet found = select.executeQuery()) {
                    found.next();
                    equal(found.getBoolean(1), true);
                    equal(found.getShort(2), (short) -7);
                    equal(found.getLong(3), Long.MIN_VALUE);
                    equal(found.getFloat(4), 0.5f);
                    equal(found.getDouble(5), 0.1);
                    equal(found.getBigDecimal(6), new BigDecimal("123.456"));
                    equal(Arrays.toString(found.getBytes(7)), "[0, -1]");
                    equal(found.getObject(8), id);
                    equal(found.getString(9), "{\"a\": 1}");
                    equal(found.getString(10), "\u00e4'\\");
                }
            }
        }
    }

    static void error() throws Exception {
        try {
            execute("INSERT INTO flights (plane) VALUES (12345)");
            throw new AssertionError("no plane");
        } catch (PSQLException error) {
            equal(error.getSQLState(), "23503");
            equal(error.getServerErrorMessage().getTable(), "flights");
            equal(error.getServerErrorMessage().getConstraint(), "flights_plane_fkey");
        }
        try {
            execute("SELECT * FROM no_such");
            throw new AssertionError("no table");
        } catch (PSQLException error) {
            equal(error.getSQLState(), "42P01");
            equal(error.getServerErrorMessage().getPosition(), 15);
        }
    }

    static void timeout() throws Exception {
        try (Statement statement = connection.createStatement()) {
            statement.setQueryTimeout(1);
            statement.execute("SELECT pg_sleep(30)");
            throw new AssertionError("it slept");
        } catch (SQLException error) {
            equal(error.getSQLState(), "57014");
        }
    }

    static void notification() throws Exception {
        execute("LISTEN landed");
        execute("NOTIFY landed, 'N1'");
        equal(connection.unwrap(PGConnection.class).getNotifications(1000)[0].getParameter(), "N1");
        execute("UNLISTEN *");
    }

    static void resultMetadata() throws Exception {
        try (Statement statement = connection.createStatement();
                ResultSet found = statement.executeQuery("SELECT id, tail AS t, price, seats FROM planes")) {
            ResultSetMetaData about = found.getMetaData();
            equal(about.getColumnCount(), 4);
            equal(about.getColumnTypeName(1), "serial");
            equal(about.isAutoIncrement(1), true);
            equal(about.getColumnLabel(2), "t");
            equal(about.getColumnName(2), "t");
            equal(about.getPrecision(2), 10);
            equal(about.isNullable(2), ResultSetMetaData.columnNoNulls);
            equal(about.getPrecision(3) + " " + about.getScale(3), "10 2");
            equal(about.getColumnType(4), Types.INTEGER);
            equal(about.getTableName(4), "planes");
        }
    }

    static void parameterMetadata() throws Exception {
        try (PreparedStatement select = connection.prepareStatement("SELECT * FROM planes WHERE seats > ? AND tail = ?")) {
            ParameterMetaData about = select.getParameterMetaData();
            equal(about.getParameterCount(), 2);
            equal(about.getParameterTypeName(1), "int4");
            equal(List.of("text", "varchar").contains(about.getParameterTypeName(2)), true);
        }
    }

    static void metadataOfTables() throws Exception {
        DatabaseMetaData about = connection.getMetaData();
        equal(about.getDatabaseProductName(), "PostgreSQL");
        equal(rows(about.getTables(null, "public", "%", new String[] {"TABLE"}), "TABLE_NAME", "TABLE_TYPE", "REMARKS"),
            List.of("flights TABLE what flew", "planes TABLE null"));
        equal(rows(about.getSchemas(null, "public"), "TABLE_SCHEM"), List.of("public"));
        equal(rows(about.getTableTypes()).contains("TABLE"), true);
        equal(rows(about.getCatalogs()).contains(connection.getCatalog()), true);
    }

    static void metadataOfColumns() throws Exception {
        equal(rows(connection.getMetaData().getColumns(null, "public", "planes", "%"),
                "COLUMN_NAME", "TYPE_NAME", "COLUMN_SIZE", "DECIMAL_DIGITS", "IS_NULLABLE", "COLUMN_DEF", "IS_AUTOINCREMENT", "ORDINAL_POSITION"),
            List.of("id serial 10 0 NO nextval('planes_id_seq'::regclass) YES 1", "tail varchar 10 0 NO null NO 2",
                "seats int4 10 0 YES 100 NO 3", "price numeric 10 2 YES null NO 4"));
        equal(rows(connection.getMetaData().getColumns(null, "public", "flights", "note"), "COLUMN_NAME", "REMARKS", "DATA_TYPE"),
            List.of("note a note " + Types.VARCHAR));
    }

    static void metadataOfKeys() throws Exception {
        equal(rows(connection.getMetaData().getPrimaryKeys(null, "public", "flights"), "COLUMN_NAME", "KEY_SEQ", "PK_NAME"),
            List.of("id 1 flights_pkey", "plane 2 flights_pkey"));
    }

    static void metadataOfIndexes() throws Exception {
        equal(rows(connection.getMetaData().getIndexInfo(null, "public", "flights", false, true),
                "INDEX_NAME", "NON_UNIQUE", "ORDINAL_POSITION", "COLUMN_NAME", "ASC_OR_DESC"),
            List.of("flights_pkey f 1 id A", "flights_pkey f 2 plane A", "flights_note t 1 note A", "flights_note t 2 at D"));
    }

    static void metadataOfReferences() throws Exception {
        DatabaseMetaData about = connection.getMetaData();
        String[] columns = {"PKTABLE_NAME", "PKCOLUMN_NAME", "FKTABLE_NAME", "FKCOLUMN_NAME", "KEY_SEQ", "DELETE_RULE", "FK_NAME", "PK_NAME"};
        List<String> expected = List.of("planes id flights plane 1 " + DatabaseMetaData.importedKeyCascade + " flights_plane_fkey planes_pkey");
        equal(rows(about.getImportedKeys(null, "public", "flights"), columns), expected);
        equal(rows(about.getExportedKeys(null, "public", "planes"), columns), expected);
    }

    static void metadataOfTypes() throws Exception {
        List<String> names = rows(connection.getMetaData().getTypeInfo(), "TYPE_NAME");
        equal(names.containsAll(List.of("int4", "text", "timestamptz", "numeric", "uuid")), true);
        rows(connection.getMetaData().getProcedures(null, null, "%"));
        rows(connection.getMetaData().getFunctions(null, null, "%"));
        rows(connection.getMetaData().getTablePrivileges(null, null, "planes"));
        rows(connection.getMetaData().getBestRowIdentifier(null, "public", "planes", DatabaseMetaData.bestRowSession, false));
    }

    static void updatableRows() throws Exception {
        try (Statement statement = connection.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_UPDATABLE);
                ResultSet found = statement.executeQuery("SELECT id, tail, seats FROM planes WHERE tail = 'N1'")) {
            found.next();
            found.updateInt("seats", 77);
            found.updateRow();
        }
        equal(query("SELECT seats FROM planes WHERE tail = 'N1'"), List.of("77"));
    }

    static void readsOnly() throws Exception {
        connection.setReadOnly(true);
        connection.setAutoCommit(false);
        try {
            execute("DELETE FROM planes");
            throw new AssertionError("it wrote");
        } catch (SQLException error) {
            equal(error.getSQLState(), "25006");
        } finally {
            connection.rollback();
            connection.setAutoCommit(true);
            connection.setReadOnly(false);
        }
    }
}
