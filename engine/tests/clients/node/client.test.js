// node-postgres: values, pools, cursors, streams, COPY, errors and notifications. Run by node's own test runner; PGHOST and its like say
// where the server is.
'use strict';

const assert = require('node:assert/strict');
const { after, before, test } = require('node:test');
const { pipeline } = require('node:stream/promises');
const { Readable } = require('node:stream');
const pg = require('pg');
const Cursor = require('pg-cursor');
const QueryStream = require('pg-query-stream');
const copy = require('pg-copy-streams');

let client;

before(async () => {
  client = new pg.Client();
  await client.connect();
  await client.query('CREATE TABLE planes (tail text PRIMARY KEY, seats integer NOT NULL, built date, price numeric(10,2), doc jsonb)');
});

after(async () => {
  await client.query('DROP TABLE planes');
  await client.end();
});

test('values go in and come out', async () => {
  const inserted = await client.query('INSERT INTO planes VALUES ($1, $2, $3, $4, $5) RETURNING *', [
    'N1', 120, '1999-01-02', '12.50', { wings: 2 },
  ]);
  assert.equal(inserted.command, 'INSERT');
  assert.equal(inserted.rowCount, 1);
  const [row] = inserted.rows;
  assert.deepEqual(
    { ...row, built: [row.built.getFullYear(), row.built.getMonth(), row.built.getDate()] },
    { tail: 'N1', seats: 120, built: [1999, 0, 2], price: '12.50', doc: { wings: 2 } },
  );
  const types = await client.query(
    'SELECT $1::boolean AS b, $2::bigint AS n, $3::double precision AS f, $4::bytea AS y, $5::timestamptz AS t, $6::uuid AS u, NULL AS z',
    [true, '9007199254740993', 0.5, Buffer.from([0, 255]), new Date(Date.UTC(2013, 0, 1, 5)), 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'],
  );
  const [one] = types.rows;
  assert.equal(one.b, true);
  assert.equal(one.n, '9007199254740993');
  assert.equal(one.f, 0.5);
  assert.deepEqual(one.y, Buffer.from([0, 255]));
  assert.equal(one.t.getTime(), Date.UTC(2013, 0, 1, 5));
  assert.equal(one.u, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11');
  assert.equal(one.z, null);
  assert.deepEqual(types.fields.map((field) => field.dataTypeID), [16, 20, 701, 17, 1184, 2950, 25]);
});

test('rows are arrays where they are wanted so', async () => {
  const answer = await client.query({ text: "SELECT 'x' AS a, 'y' AS a", rowMode: 'array' });
  assert.deepEqual(answer.rows, [['x', 'y']]);
  assert.deepEqual(answer.fields.map((field) => field.name), ['a', 'a']);
});

test('a named statement is prepared once', async () => {
  for (let n = 0; n < 5; n += 1) {
    const answer = await client.query({ name: 'next', text: 'SELECT $1::integer + 1 AS n', values: [n] });
    assert.equal(Number(answer.rows[0].n), n + 1);
  }
  await assert.rejects(client.query({ name: 'next', text: 'SELECT 2', values: [] }), /Prepared statements must be unique/);
});

test('several statements of a text answer each', async () => {
  const answers = await client.query("SELECT 'a' AS x; SELECT 'b' AS x, 'c' AS y");
  assert.deepEqual(answers.map((answer) => answer.rows), [[{ x: 'a' }], [{ x: 'b', y: 'c' }]]);
});

test('an error has its fields', async () => {
  await client.query("INSERT INTO planes VALUES ('N2', 1)");
  const error = await client.query("INSERT INTO planes VALUES ('N2', 1)").then(() => null, (caught) => caught);
  assert.equal(error.code, '23505');
  assert.equal(error.severity, 'ERROR');
  assert.equal(error.table, 'planes');
  assert.equal(error.schema, 'public');
  assert.equal(error.constraint, 'planes_pkey');
  assert.equal(error.detail, 'Key (tail)=(N2) already exists.');
  const missing = await client.query('SELECT *\nFROM no_such').then(() => null, (caught) => caught);
  assert.equal(missing.code, '42P01');
  assert.equal(missing.position, '15');
});

test('a transaction is rolled back', async () => {
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
  await client.query("DELETE FROM planes WHERE tail = 'N2'");
  await client.query('SAVEPOINT s');
  await assert.rejects(client.query('SELECT 1 / 0'), { code: '22012' });
  await assert.rejects(client.query('SELECT 1'), { code: '25P02' });
  await client.query('ROLLBACK TO SAVEPOINT s');
  await client.query('ROLLBACK');
  const answer = await client.query("SELECT count(*)::integer AS n FROM planes WHERE tail = 'N2'");
  assert.equal(answer.rows[0].n, 1);
});

test('a cursor reads some rows at a time', async () => {
  const cursor = client.query(new Cursor('SELECT n FROM generate_series(1, $1::integer) AS s (n)', [25]));
  const counts = [];
  for (;;) {
    const rows = await cursor.read(10);
    if (rows.length === 0) break;
    counts.push(rows.length);
  }
  await cursor.close();
  assert.deepEqual(counts, [10, 10, 5]);
});

test('a stream reads them all', async () => {
  const stream = client.query(new QueryStream('SELECT n FROM generate_series(1, 1000) AS s (n)', [], { batchSize: 64 }));
  let sum = 0;
  for await (const row of stream) sum += Number(row.n);
  assert.equal(sum, 500500);
});

test('COPY goes both ways', async () => {
  const lines = Array.from({ length: 1000 }, (_, n) => `C${n}\t${n}\t\\N\t\\N\t\\N\n`);
  await pipeline(Readable.from(lines), client.query(copy.from('COPY planes FROM STDIN')));
  const out = client.query(copy.to("COPY (SELECT tail, seats FROM planes WHERE tail LIKE 'C99_' ORDER BY seats) TO STDOUT"));
  let text = '';
  for await (const chunk of out) text += chunk;
  assert.equal(text, Array.from({ length: 10 }, (_, n) => `C99${n}\t99${n}\n`).join(''));
  await client.query("DELETE FROM planes WHERE tail LIKE 'C%'");
});

test('a pool lends its connections', async () => {
  const pool = new pg.Pool({ max: 4 });
  try {
    const answers = await Promise.all(Array.from({ length: 40 }, (_, n) => pool.query('SELECT $1::integer AS n', [n])));
    assert.deepEqual(answers.map((answer) => answer.rows[0].n), Array.from({ length: 40 }, (_, n) => n));
    assert.ok(pool.totalCount <= 4);
    const lent = await pool.connect();
    await lent.query('BEGIN');
    await lent.query('ROLLBACK');
    lent.release();
  } finally {
    await pool.end();
  }
});

test('a notification arrives', async () => {
  const arrived = new Promise((resolve) => client.once('notification', resolve));
  await client.query('LISTEN landed');
  await client.query("SELECT pg_notify('landed', 'N1')");
  const message = await arrived;
  assert.deepEqual([message.channel, message.payload], ['landed', 'N1']);
});

test('a statement that takes too long is given up', async () => {
  await client.query('SET statement_timeout = 100');
  await assert.rejects(client.query('SELECT pg_sleep(30)'), { code: '57014' });
  await client.query('RESET statement_timeout');
});

test('a connection with a wrong database is refused', async () => {
  const other = new pg.Client({ database: 'no_such' });
  await assert.rejects(other.connect(), { code: '3D000' });
});
