package main

import (
	"database/sql"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/strata-cache/strata/internal/servertest"
)

func TestMain(m *testing.M) { servertest.Main(m) }

// ask sends a request to one process and returns the status and the body.
func ask(t *testing.T, c *Catalogue, method, path, body string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	c.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body)))
	return w.Code, strings.TrimSpace(w.Body.String())
}

// Two processes share a catalogue: what one has written is in the table, and in the answers of both.
func TestWhatOneProcessWritesTheOtherServes(t *testing.T) {
	t.Parallel()
	db, err := sql.Open("pgx", "postgres://postgres@"+servertest.SharedPostgres(t).Addr()+"/postgres?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var nodes [2]*Catalogue
	version := servertest.Key(t)
	for i := range nodes {
		if nodes[i], err = Open(t.Context(), db, servertest.SharedRedis(t).URL()+"?timeout=10s", version); err != nil {
			t.Fatal(err)
		}
		defer nodes[i].Close()
	}
	expect := func(node int, method, path, body string, status int, want string) {
		t.Helper()
		code, got := ask(t, nodes[node], method, path, body)
		if code != status || status == http.StatusOK && got != want {
			t.Errorf("%s %s at %d: %d %s, want %d %s", method, path, node, code, got, status, want)
		}
	}
	heard := func() { // by both, of what each has written
		t.Helper()
		for _, c := range nodes {
			if err := c.products.WaitForNodes(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	stored := func(want string) {
		t.Helper()
		var name string
		err := db.QueryRowContext(t.Context(), "SELECT name FROM example_products WHERE id = 42").Scan(&name)
		if err != nil && err != sql.ErrNoRows || name != want {
			t.Errorf("the table has %q, want %q; %v", name, want, err)
		}
	}

	expect(0, "GET", "/products/42", "", http.StatusNotFound, "") // and that is kept
	expect(1, "PUT", "/products/42", `{"name": "teapot", "cents": 2900}`, http.StatusNoContent, "")
	stored("teapot")
	heard()
	for node := range nodes {
		expect(node, "GET", "/products/42", "", http.StatusOK, `{"name":"teapot","cents":2900}`)
		expect(node, "GET", "/products?id=42&id=43", "", http.StatusOK, `{"42":{"name":"teapot","cents":2900}}`)
	}
	expect(0, "PUT", "/products/42", `{"name": "kettle", "cents": 4500}`, http.StatusNoContent, "")
	stored("kettle")
	heard()
	expect(1, "GET", "/products/42", "", http.StatusOK, `{"name":"kettle","cents":4500}`)
	expect(1, "DELETE", "/products/42", "", http.StatusNoContent, "")
	stored("")
	heard()
	expect(0, "GET", "/products/42", "", http.StatusNotFound, "")
	expect(0, "GET", "/products/teapot", "", http.StatusBadRequest, "")
	expect(0, "PUT", "/products/42", `{"name": 7}`, http.StatusBadRequest, "")
}
