//go:build pgx

package main

// Until go.mod has github.com/jackc/puddle/v2, which pgx's stdlib needs, this program and its test need -tags pgx.
import _ "github.com/jackc/pgx/v5/stdlib"
