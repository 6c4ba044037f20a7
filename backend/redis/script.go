package redis

import (
	"context"
	"crypto/sha1"
	_ "embed"
	"encoding/hex"

	goredis "github.com/redis/go-redis/v9"

	"github.com/strata-cache/strata/internal/redisconn"
)

//go:embed apply.lua
var applySource string

//go:embed count.lua
var countSource string

// The scripts, never changed.
var (
	applyScript = newScript(applySource)
	countScript = newScript(countSource)
)

// A script is sent as its digest. Where the server does not have it (it forgets on restart), it says so without having
// done anything, and the source may follow.
type script struct{ source, digest string }

func newScript(source string) script {
	sum := sha1.Sum([]byte(source)) // what Redis names scripts by
	return script{source: source, digest: hex.EncodeToString(sum[:])}
}

// command is a run of the script at one key. Whole sends the source too.
func (s script) command(ctx context.Context, whole bool, key string, args []any) *goredis.Cmd {
	all := make([]any, 0, 4+len(args))
	if whole {
		all = append(all, "eval", s.source, "1", key)
	} else {
		all = append(all, "evalsha", s.digest, "1", key)
	}
	return goredis.NewCmd(ctx, append(all, args...)...)
}

func isNoScript(err error) bool { return redisconn.HasPrefix(err, "NOSCRIPT") }
