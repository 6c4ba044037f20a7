package pgfeed

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// DefaultSchema is where the tables and functions of the feed are.
const DefaultSchema = "strata"

const maxSchema = 50

// SetupSQL returns the statements that make the schema, the tables and the functions that the feeds use, or bring those of an
// older version up to date. The schema is Options.Schema, DefaultSchema if it is "". Run it by a migration, as who may create
// schemas: with pgx's Conn.Exec without arguments, psql, or any client that takes several statements. To run it again changes
// nothing.
//
// Who writes to watched tables needs no rights in the schema. Who reads the outbox needs
//
//	GRANT USAGE ON SCHEMA strata TO reader;
//	GRANT SELECT, DELETE ON strata.outbox TO reader;
//	GRANT SELECT, INSERT, UPDATE, DELETE ON strata.consumers TO reader;
func SetupSQL(schema string) (string, error) {
	n, err := newNames(schema)
	if err != nil {
		return "", err
	}
	return n.expand(`CREATE SCHEMA IF NOT EXISTS {schema};
CREATE TABLE IF NOT EXISTS {schema}.outbox (
	id   bigint GENERATED ALWAYS AS IDENTITY,
	xid  xid8 NOT NULL DEFAULT pg_current_xact_id(),
	tbl  text NOT NULL,
	op   text NOT NULL,
	cols jsonb
);
CREATE INDEX IF NOT EXISTS outbox_xid ON {schema}.outbox (xid);
CREATE TABLE IF NOT EXISTS {schema}.consumers (
	name        text PRIMARY KEY,
	seen        pg_snapshot NOT NULL,
	incarnation text NOT NULL,
	updated     timestamptz NOT NULL DEFAULT now()
);
CREATE OR REPLACE FUNCTION {schema}.columns(data jsonb, names text[]) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS
$strata$SELECT jsonb_object_agg(n, data ->> n) FROM unnest(names) n$strata$;
CREATE OR REPLACE FUNCTION {schema}.record() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $strata$
DECLARE
	was jsonb;
	cur jsonb;
BEGIN
	IF TG_OP IN ('UPDATE', 'DELETE') THEN
		was := {schema}.columns(to_jsonb(OLD), TG_ARGV[1:]);
	END IF;
	IF TG_OP IN ('INSERT', 'UPDATE') THEN
		cur := {schema}.columns(to_jsonb(NEW), TG_ARGV[1:]);
	END IF;
	IF was IS NOT NULL AND was IS DISTINCT FROM cur OR TG_OP = 'TRUNCATE' THEN
		INSERT INTO {schema}.outbox (tbl, op, cols) VALUES (TG_ARGV[0], lower(TG_OP), was);
	END IF;
	IF cur IS NOT NULL THEN
		INSERT INTO {schema}.outbox (tbl, op, cols) VALUES (TG_ARGV[0], lower(TG_OP), cur);
	END IF;
	IF current_setting('strata.wake', true) IS DISTINCT FROM 'off' THEN
		PERFORM pg_notify({wake}, '');
	END IF;
	RETURN NULL;
END $strata$;
CREATE OR REPLACE FUNCTION {schema}.announce() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $strata$
DECLARE
	was jsonb;
	cur jsonb;
	rec jsonb;
	payload text;
BEGIN
	IF TG_OP IN ('UPDATE', 'DELETE') THEN
		was := {schema}.columns(to_jsonb(OLD), TG_ARGV[2:]);
	END IF;
	IF TG_OP IN ('INSERT', 'UPDATE') THEN
		cur := {schema}.columns(to_jsonb(NEW), TG_ARGV[2:]);
	END IF;
	FOREACH rec IN ARRAY CASE WHEN was IS NULL OR was IS NOT DISTINCT FROM cur THEN ARRAY[cur]
		WHEN cur IS NULL THEN ARRAY[was] ELSE ARRAY[was, cur] END
	LOOP
		payload := jsonb_build_object('table', TG_ARGV[1], 'op', lower(TG_OP), 'columns', rec)::text;
		IF octet_length(payload) > 7999 THEN -- more cannot be sent: all rows, then
			payload := jsonb_build_object('table', TG_ARGV[1], 'op', lower(TG_OP))::text;
		END IF;
		PERFORM pg_notify(TG_ARGV[0], payload);
	END LOOP;
	RETURN NULL;
END $strata$;
`), nil
}

// WatchSQL returns the statements that make every change of a table appear in the outbox, told by the columns that identify a
// row, at least one. table is its name, with its schema or as the search path finds it: "products" or "shop.products"; so it will
// stand in feed.Change.Table. Names are quoted: they are case-sensitive, and may hold anything but a dot and a NUL. To run it
// again replaces the triggers, which locks the table for a moment.
func WatchSQL(schema, table string, columns ...string) (string, error) {
	return triggers(schema, "record", table, columns, table)
}

// AnnounceSQL is WatchSQL for a Listener of a channel: changes are notified and not kept.
func AnnounceSQL(schema, channel, table string, columns ...string) (string, error) {
	if channel == "" || len(channel) > 63 || strings.ContainsRune(channel, 0) {
		return "", fmt.Errorf("pgfeed: the channel %q: a name has 1 to 63 bytes", channel)
	}
	return triggers(schema, "announce", table, columns, channel, table)
}

func triggers(schema, function, table string, columns []string, args ...string) (string, error) {
	n, err := newNames(schema)
	if err != nil {
		return "", err
	}
	var quoted []string
	for _, c := range columns {
		if c == "" || strings.ContainsRune(c, 0) {
			return "", fmt.Errorf("pgfeed: watch %q: the column %q has no name that can be", table, c)
		}
		quoted = append(quoted, pgx.Identifier{c}.Sanitize())
	}
	if len(columns) == 0 {
		return "", fmt.Errorf("pgfeed: watch %q: by which columns is a row told?", table)
	}
	ident := pgx.Identifier(strings.Split(table, "."))
	for _, part := range ident {
		if part == "" || strings.ContainsRune(part, 0) || len(ident) > 2 {
			return "", fmt.Errorf("pgfeed: watch %q: want table or schema.table", table)
		}
	}
	literals := func(values ...string) string {
		var all []string
		for _, v := range values {
			all = append(all, literal(v))
		}
		return strings.Join(all, ", ")
	}
	n["table"] = ident.Sanitize()
	n["columns"] = strings.Join(quoted, ", ")
	n["function"] = function
	n["rows"] = pgx.Identifier{n["plain"] + "_" + function}.Sanitize()
	n["all"] = pgx.Identifier{n["plain"] + "_" + function + "_all"}.Sanitize()
	n["allargs"] = literals(args...)
	n["rowargs"] = literals(append(args, columns...)...)
	return n.expand(`SELECT {columns} FROM {table} LIMIT 0;
DROP TRIGGER IF EXISTS {rows} ON {table};
DROP TRIGGER IF EXISTS {all} ON {table};
CREATE TRIGGER {rows} AFTER INSERT OR UPDATE OR DELETE ON {table}
	FOR EACH ROW EXECUTE FUNCTION {schema}.{function}({rowargs});
CREATE TRIGGER {all} AFTER TRUNCATE ON {table}
	FOR EACH STATEMENT EXECUTE FUNCTION {schema}.{function}({allargs});
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {rows};
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {all};
`), nil
}

// names are what {name} stands for in our SQL, quoted.
type names map[string]string

func newNames(schema string) (names, error) {
	if schema == "" {
		schema = DefaultSchema
	}
	if len(schema) > maxSchema || strings.ContainsAny(schema, "\x00{}$") {
		return nil, fmt.Errorf("pgfeed: the schema %q: a name has 1 to %d bytes, without $, { and }", schema, maxSchema)
	}
	wake := schema + "_outbox"
	return names{
		"plain": schema, "schema": pgx.Identifier{schema}.Sanitize(),
		"wake": literal(wake), "listen": pgx.Identifier{wake}.Sanitize(),
	}, nil
}

// expand puts names into SQL, once: what a name holds is not looked at again.
func (n names) expand(sql string) string {
	var pairs []string
	for name, quoted := range n {
		pairs = append(pairs, "{"+name+"}", quoted)
	}
	return strings.NewReplacer(pairs...).Replace(sql)
}

// literal quotes a string so that no setting of the server changes what it means.
func literal(s string) string {
	return `E'` + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(s) + `'`
}
