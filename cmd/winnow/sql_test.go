package main

import (
	"database/sql"
	"fmt"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// sqlCmd runs "sql FILE QUERY": the rows of an SQLite database, their values with
// | between them, are the output for stdout.
func sqlCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: sql file query")
	}
	db, err := sql.Open("sqlite", "file:"+ts.MkAbs(args[0])+"?mode=ro")
	ts.Check(err)
	defer func() { ts.Check(db.Close()) }()
	rows, err := db.Query(args[1])
	ts.Check(err)
	names, err := rows.Columns()
	ts.Check(err)
	var out strings.Builder
	for rows.Next() {
		cells, to := make([]any, len(names)), make([]any, len(names))
		for i := range cells {
			to[i] = &cells[i]
		}
		ts.Check(rows.Scan(to...))
		texts := make([]string, len(cells))
		for i, c := range cells {
			texts[i] = fmt.Sprint(c)
		}
		out.WriteString(strings.Join(texts, "|") + "\n")
	}
	ts.Check(rows.Err())
	ts.Check(rows.Close())
	if _, err := ts.Stdout().Write([]byte(out.String())); err != nil {
		ts.Fatalf("%v", err)
	}
}
