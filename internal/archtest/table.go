package archtest

// rule says what a package of ours may import outside of its _test.go files. Patterns are paths relative to the module:
// "." is the module's root, "x/..." is x and everything below it. The first rule whose pkg matches a package counts; a
// package that does not exist needs no rule removed.
type rule struct {
	pkg     string
	ours    []string // packages of ours
	modules []string // third-party modules, imported directly
	why     string
}

const (
	goRedis    = "github.com/redis/go-redis/v9"
	hazelcast  = "github.com/hazelcast/hazelcast-go-client"
	gomemcache = "github.com/bradfitz/gomemcache"
	ristretto  = "github.com/dgraph-io/ristretto/v2"
	msgpack    = "github.com/vmihailenco/msgpack/v5"
	xxh3       = "github.com/zeebo/xxh3"
	xxhash     = "github.com/cespare/xxhash/v2"
	xsync      = "golang.org/x/sync"
	xsys       = "golang.org/x/sys"
	yaml       = "github.com/goccy/go-yaml"
	otelAPI    = "go.opentelemetry.io/otel"
	prometheus = "github.com/prometheus/client_golang"
	protobuf   = "google.golang.org/protobuf"
	pgx        = "github.com/jackc/pgx/v5"
	goleak     = "go.uber.org/goleak"
	bbolt      = "go.etcd.io/bbolt"
	compress   = "github.com/klauspost/compress"
	xcrypto    = "golang.org/x/crypto"
	xnet       = "golang.org/x/net"
	xtime      = "golang.org/x/time"
)

const (
	whyLeaf   = "leaves know nothing of each other: whoever needs two of them is tier, or above"
	whyDriver = "a driver knows its leaf, one client library and the connection package that it shares with the transport"
	whyBus    = "a transport knows its leaf, one client library and its connection package; it takes a store as interface{ As(target any) bool }"
	whyTier   = "tier is the front door over the leaves: it works with any driver, so it knows none"
	whySuite  = "a suite for implementers knows the leaf that it tests and nothing that they would not have"
)

var (
	backendLeaf = []string{"backend", "backend/driver", "backend/record", "internal/..."}
	busLeaf     = []string{"invalidation", "invalidation/internal/...", "internal/..."}
)

var rules = []rule{
	{pkg: ".", why: "the root package is documentation and examples"},

	{pkg: "backend/record", ours: []string{"internal/..."}, why: "the header and its state machine are pure: drivers, tier and lock all stand on them"},
	{pkg: "backend/driver", ours: []string{"backend/record", "internal/..."}, why: "what an implementer writes against must not pull in what users call"},
	{pkg: "backend", ours: []string{"backend/driver", "backend/record", "internal/..."}, why: whyLeaf},
	{pkg: "backend/backendtest", ours: backendLeaf, why: whySuite},
	{pkg: "backend/memory", ours: backendLeaf, modules: []string{xxh3, xxhash}, why: whyDriver},
	{pkg: "backend/redis", ours: backendLeaf, modules: []string{goRedis}, why: whyDriver},
	{pkg: "backend/memcached", ours: backendLeaf, modules: []string{gomemcache, xxh3, xxhash}, why: whyDriver},
	{pkg: "backend/hazelcast", ours: backendLeaf, modules: []string{hazelcast}, why: whyDriver},
	{pkg: "backend/...", ours: backendLeaf, why: whyDriver},

	{pkg: "codec", ours: []string{"internal/..."}, modules: []string{msgpack, xxh3}, why: whyLeaf},
	{pkg: "codec/protobuf", ours: []string{"codec", "internal/..."}, modules: []string{protobuf}, why: "a folder of its own, so that only its users link protobuf"},
	{pkg: "codec/compression", ours: []string{"codec", "internal/..."}, modules: []string{compress}, why: "a folder of its own, so that only its users link it"},
	{pkg: "codec/encryption", ours: []string{"codec", "internal/..."}, modules: []string{xcrypto}, why: "a folder of its own, so that only its users link it"},
	{pkg: "codec/...", ours: []string{"codec", "internal/..."}, why: whyLeaf},

	{pkg: "policy", ours: []string{"policy/journal", "internal/..."}, why: whyLeaf + "; a policy is data on which tier acts"},
	{pkg: "policy/journal", ours: []string{"internal/..."}, why: "a journal knows bytes only"},
	{pkg: "policy/journal/redisjournal", ours: []string{"policy/journal", "internal/..."}, modules: []string{goRedis}, why: "a journal knows its leaf, one client library and its connection package"},
	{pkg: "policy/journal/filejournal", ours: []string{"policy/journal", "policy/journal/internal/...", "internal/..."}, modules: []string{bbolt}, why: "a journal knows its leaf and one store"},
	{pkg: "policy/journal/...", ours: []string{"policy/journal", "policy/journal/internal/...", "internal/..."}, why: "a journal knows its leaf"},
	{pkg: "policy/...", ours: []string{"policy", "internal/..."}, why: whyLeaf},

	{pkg: "invalidation", ours: []string{"internal/..."}, why: whyLeaf},
	{pkg: "invalidation/invalidationtest", ours: busLeaf, why: whySuite},
	{pkg: "invalidation/redisbus", ours: busLeaf, modules: []string{goRedis}, why: whyBus},
	{pkg: "invalidation/hazelcastbus", ours: busLeaf, modules: []string{hazelcast}, why: whyBus},
	{pkg: "invalidation/memcachedbus", ours: busLeaf, modules: []string{gomemcache}, why: whyBus},
	{pkg: "invalidation/...", ours: busLeaf, why: whyBus},

	{pkg: "feed", ours: []string{"internal/..."}, why: whyLeaf + "; it tells of changes, and what they mean to a cache the application says"},
	{pkg: "feed/pgfeed", ours: []string{"feed", "internal/..."}, modules: []string{pgx}, why: "a feed knows its leaf and one client: notifications are nothing that database/sql has"},
	{pkg: "feed/...", ours: []string{"feed", "internal/..."}, why: "a feed knows its leaf"},

	{pkg: "lock", ours: backendLeaf, why: "lock knows backend, and declares the Waker that a bus satisfies"},
	{pkg: "lock/...", ours: append([]string{"lock"}, backendLeaf...), why: "lock knows backend, and declares the Waker that a bus satisfies"},

	{
		pkg: "tier", ours: []string{"backend", "backend/driver", "backend/record", "codec", "policy", "policy/journal", "invalidation", "internal/..."},
		modules: []string{ristretto, xsync, xxh3, xxhash}, why: whyTier,
	},
	{
		pkg: "tier/tiertest", ours: []string{
			"tier", "backend", "backend/driver", "backend/record", "backend/memory", "codec", "policy", "policy/journal",
			"policy/journal/memjournal", "invalidation", "invalidation/membus", "internal/...",
		},
		why: "users' tests run on memory alone",
	},
	{pkg: "tier/...", ours: []string{"tier", "backend", "backend/driver", "backend/record", "codec", "policy", "invalidation", "internal/..."}, why: whyTier},

	{
		pkg: "config", ours: []string{"tier", "backend", "backend/driver", "codec", "policy", "policy/journal", "invalidation", "lock", "internal/..."},
		modules: []string{yaml}, why: "config takes drivers as values: whoever reads a file need not link every client",
	},
	{pkg: "observe/otel", ours: []string{"observe", "tier", "backend", "invalidation", "lock", "internal/..."}, modules: []string{otelAPI, otelAPI + "/metric", otelAPI + "/trace"}, why: "the OpenTelemetry API, never its SDK: which SDK runs is the program's choice"},
	{pkg: "observe/prometheus", ours: []string{"observe", "tier", "backend", "invalidation", "lock", "internal/..."}, modules: []string{prometheus}, why: "a folder of its own, so that only its users link the client"},
	{pkg: "observe/...", ours: []string{"observe/...", "tier", "backend", "invalidation", "lock", "internal/..."}, why: "who observes stands above what is observed"},
	{pkg: "memo", ours: []string{"tier", "backend", "codec", "policy", "invalidation", "internal/..."}, why: "cached functions are caches with keys made of arguments: they stand above tier"},
	{pkg: "backfill", ours: []string{"tier", "policy", "internal/..."}, modules: []string{xtime}, why: "filling a cache from a stream stands above tier"},
	{pkg: "recipes/...", ours: []string{"recipes/...", "tier", "backend", "codec", "policy", "invalidation", "lock", "lock/...", "internal/..."}, why: "recipes are made of public parts; one that needs a foreign library has its own go.mod"},

	{pkg: "internal/redisconn", ours: []string{"internal/..."}, modules: []string{goRedis, xsys}, why: "one client library a connection package; the socket options of a dialled connection need x/sys"},
	{pkg: "internal/hazelcastconn", ours: []string{"internal/..."}, modules: []string{hazelcast}, why: "one client library a connection package"},
	{pkg: "internal/memcachedconn", ours: []string{"internal/..."}, modules: []string{gomemcache}, why: "one client library a connection package"},
	{pkg: "internal/testcert", why: "certificates for the tests and servers of every package: nothing of ours may come with it"},
	{pkg: "internal/fault", ours: []string{"backend/driver", "backend/record", "internal/..."}, why: "it decorates a driver with faults"},
	{pkg: "internal/fault/wire", modules: []string{xnet}, why: "faults of a network know no protocol of ours"},
	{pkg: "internal/server", ours: []string{"internal/testcert"}, why: "the command line and the tests of every package start servers: nothing of ours may come with it"},
	{pkg: "internal/servertest", ours: []string{"internal/server", "internal/testcert", "internal/fault/wire"}, modules: []string{goleak}, why: "what tests of every package import must import none of them; its Main looks for leaks"},
	{pkg: "internal/servertest/cmd/...", ours: []string{"internal/server"}, why: "it runs servers for the tests and is no part of the product"},
	{pkg: "internal/...", ours: []string{"internal/..."}, modules: []string{xsys, xsync, xxh3, xxhash}, why: "internal packages lie under the leaves: one that knew a leaf would join it to the others"},
}

// tops may import everything, and only each other may import them.
var tops = []string{"cmd/...", "bench/...", "integration/...", "examples/..."}

// forTests are internal packages that only tops and each other may import, outside of _test.go files.
var forTests = []string{"internal/server", "internal/servertest/...", "internal/fault/...", "internal/testcert", "internal/archtest"}

// client is a module that must not come into a program by accident, through whichever package.
type client struct {
	module string
	in     []string // the packages, besides tops, whose dependencies may hold it
	why    string
}

const whyClient = "a program links only the clients of the servers that it uses"

var clients = []client{
	{goRedis, []string{"backend/redis", "invalidation/redisbus", "policy/journal/redisjournal", "internal/redisconn"}, whyClient},
	{hazelcast, []string{"backend/hazelcast", "invalidation/hazelcastbus", "internal/hazelcastconn"}, whyClient},
	{gomemcache, []string{"backend/memcached", "invalidation/memcachedbus", "internal/memcachedconn"}, whyClient},
	{ristretto, []string{"tier/...", "memo", "backfill", "config", "observe/...", "recipes/..."}, "the local tier is a matter of tier"},
	{"modernc.org/sqlite", nil, "a store on SQL takes database/sql: the driver is the program's choice"},
	{pgx, []string{"feed/pgfeed"}, "the feed of PostgreSQL's notifications needs its client; a store on SQL takes database/sql: the driver is the program's choice"},
	{"go.opentelemetry.io/otel/sdk", nil, "the OpenTelemetry API, never its SDK: which SDK runs is the program's choice"},
}

// testLibraries may be imported in _test.go files only, save where exempt says otherwise.
var testLibraries = []string{
	goleak, "pgregory.net/rapid", "github.com/rogpeppe/go-internal", "github.com/google/go-cmp",
	"github.com/stretchr/testify", "github.com/anishathalye/porcupine",
}

// exempt packages are for tests alone and may import these test libraries.
var exempt = map[string][]string{
	"internal/servertest":        {goleak},
	"policy/journal/journaltest": {"pgregory.net/rapid"},
}
