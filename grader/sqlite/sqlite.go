// Package sqlite writes tables as SQLite databases. It stands alone because its
// driver is large.
package sqlite

import (
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"winnow/grader/data"
)

// New returns a table in a new SQLite database at path, which must not
// exist or be empty. Beside the table name there is one with the name manifest,
// of keys and values. Until Close the file is no database: it is for a temporary
// name. Close must be called in any case.
func New(path, name string, columns []data.Column, manifest [][2]string) (data.Table, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: abs}).String())
	if err != nil {
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	db.SetMaxOpenConns(1) // settings are of a connection
	t := &table{db: db, columns: columns}
	if err := t.begin(name, manifest); err != nil {
		return nil, errors.Join(fmt.Errorf("making the database: %w", err), db.Close())
	}
	return t, nil
}

type table struct {
	db      *sql.DB
	tx      *sql.Tx
	insert  *sql.Stmt
	columns []data.Column
	cells   []any
	failed  bool
}

func (t *table) begin(name string, manifest [][2]string) error {
	// Nobody reads the file before it has its name, so it needs no journal.
	for _, s := range []string{"PRAGMA journal_mode=OFF", "PRAGMA synchronous=OFF"} {
		if _, err := t.db.Exec(s); err != nil {
			return err
		}
	}
	var err error
	if t.tx, err = t.db.Begin(); err != nil {
		return err
	}
	if _, err := t.tx.Exec("CREATE TABLE manifest (key TEXT PRIMARY KEY, value TEXT)"); err != nil {
		return err
	}
	for _, kv := range manifest {
		if _, err := t.tx.Exec("INSERT INTO manifest VALUES (?, ?)", data.ValidText(kv[0]), data.ValidText(kv[1])); err != nil {
			return err
		}
	}
	columns := make([]string, len(t.columns))
	for i, c := range t.columns {
		columns[i] = identifier(c.Name) + " " + sqlType(c.Type)
	}
	if _, err := t.tx.Exec("CREATE TABLE " + identifier(name) + " (" + strings.Join(columns, ", ") + ")"); err != nil {
		return err
	}
	marks := strings.TrimSuffix(strings.Repeat("?, ", len(columns)), ", ")
	t.insert, err = t.tx.Prepare("INSERT INTO " + identifier(name) + " VALUES (" + marks + ")")
	return err
}

// identifier quotes a name.
func identifier(name string) string {
	name = strings.ReplaceAll(data.ValidText(name), "\x00", "\uFFFD")
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}

func sqlType(t data.Type) string {
	switch t {
	case data.Integer, data.Boolean:
		return "INTEGER"
	case data.Real:
		return "REAL"
	}
	return "TEXT"
}

// Row implements Table.
func (t *table) Row(cells []any) error {
	err := data.CheckCells(t.columns, cells)
	if err == nil {
		t.cells = append(t.cells[:0], cells...)
		for i, cell := range t.cells {
			if s, ok := cell.(string); ok {
				t.cells[i] = data.ValidText(s)
			}
		}
		_, err = t.insert.Exec(t.cells...)
	}
	if err != nil {
		t.failed = true
		return fmt.Errorf("writing to the database: %w", err)
	}
	return nil
}

// Close implements Table. It closes the database.
func (t *table) Close() error {
	if t.db == nil {
		return nil
	}
	err := t.insert.Close()
	if t.failed {
		err = errors.Join(err, t.tx.Rollback())
	} else {
		err = errors.Join(err, t.tx.Commit())
	}
	err = errors.Join(err, t.db.Close())
	t.db = nil
	if err != nil {
		return fmt.Errorf("closing the database: %w", err)
	}
	return nil
}
