package bench_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ulikunitz/xz"

	"github.com/strata-cache/strata/bench"
)

// envTraces names the folder with the real traces.
const envTraces = "STRATA_TRACES"

func integers(n ...int32) []byte {
	var b []byte
	for _, i := range n {
		b = binary.BigEndian.AppendUint32(b, uint32(i))
	}
	return b
}

func gzipped(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	return written(t, &out, gzip.NewWriter(&out), b)
}

func xzipped(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := xz.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	return written(t, &out, w, b)
}

func written(t *testing.T, out *bytes.Buffer, w io.WriteCloser, b []byte) []byte {
	t.Helper()
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestTracesAreReadWhateverTheirFormAndName(t *testing.T) {
	t.Parallel()
	numbers := integers(7, 8, 7, 1<<30, 0)
	lines := []byte("a\nb\r\na\n\nlonger key\nb")
	for name, plain := range map[string][]byte{"integers": numbers, "lines": lines} {
		wantAccesses, wantKeys := 5, 4
		if name == "lines" {
			wantKeys = 3
		}
		for form, data := range map[string][]byte{"plain": plain, "gz": gzipped(t, plain), "xz": xzipped(t, plain)} {
			t.Run(name+" "+form, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "trace.misleading.gz")
				if err := os.WriteFile(path, data, 0o600); err != nil {
					t.Fatal(err)
				}
				trace, err := bench.ReadTrace(path, nil)
				if err != nil {
					t.Fatal(err)
				}
				if trace.Accesses() != wantAccesses || trace.DistinctKeys() != wantKeys {
					t.Errorf("%d accesses of %d keys, want %d of %d", trace.Accesses(), trace.DistinctKeys(), wantAccesses, wantKeys)
				}
			})
		}
	}
}

func TestBadTracesAreErrorsThatSayWhere(t *testing.T) {
	t.Parallel()
	many := make([]int32, 10_000)
	for i := range many {
		many[i] = int32(i * 7919)
	}
	long := integers(many...)
	for name, c := range map[string]struct {
		data []byte
		want error
		o    *bench.TraceOptions
	}{
		"an integer that is cut":   {data: integers(1, 2, 3)[:10], want: bench.ErrTruncated},
		"gzip that is cut":         {data: gzipped(t, long)[:9000], want: bench.ErrTruncated},
		"a gzip header alone":      {data: gzipped(t, long)[:4], want: bench.ErrTruncated},
		"xz that is cut":           {data: xzipped(t, long)[:9000]},
		"an xz header alone":       {data: xzipped(t, long)[:8]},
		"garbage behind gzip":      {data: append([]byte{0x1f, 0x8b}, long[:200]...)},
		"garbage behind xz":        {data: append([]byte{0xfd, '7', 'z', 'X', 'Z', 0}, long[:200]...)},
		"nothing":                  {data: nil, want: bench.ErrMalformed},
		"a line that never ends":   {data: bytes.Repeat([]byte("x"), 100_000), want: bench.ErrMalformed},
		"text that turns binary":   {data: append(bytes.Repeat([]byte("key\n"), 2000), 0xff, 0xfe, '\n'), want: bench.ErrMalformed},
		"more accesses than asked": {data: long, want: bench.ErrTooLarge, o: &bench.TraceOptions{MaxAccesses: 9999}},
		"more keys than allowed":   {data: long, want: bench.ErrTooLarge, o: &bench.TraceOptions{MaxKeyBytes: 100}},
		"an unknown format":        {data: long, o: &bench.TraceOptions{Format: "xml"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := bench.ParseTrace("dir/some.trace", bytes.NewReader(c.data), c.o)
			var at *bench.TraceError
			if !errors.As(err, &at) || at.File != "dir/some.trace" {
				t.Fatalf("error %v, want a *TraceError with the file", err)
			}
			if c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if !strings.Contains(err.Error(), "dir/some.trace") || !strings.Contains(err.Error(), "at byte") {
				t.Errorf("error %q names no file and offset", err)
			}
		})
	}
	_, err := bench.ParseTrace("t", bytes.NewReader(integers(1, 2, 3)[:10]), nil)
	var at *bench.TraceError
	if !errors.As(err, &at) || at.Offset != 8 {
		t.Errorf("a cut integer at byte 8 is %v", err)
	}
}

func TestATraceCanBeCutShort(t *testing.T) {
	t.Parallel()
	trace, err := bench.ParseTrace("t", bytes.NewReader(integers(1, 2, 3)[:10]), &bench.TraceOptions{First: 2})
	if err != nil || trace.Accesses() != 2 {
		t.Fatalf("first 2 of a trace: %v, %v", trace, err)
	}
}

func FuzzParseTrace(f *testing.F) {
	f.Add([]byte("a\nb\n"))
	f.Add(integers(1, 2, 3))
	f.Add([]byte{0x1f, 0x8b, 8, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if bytes.HasPrefix(b, []byte{0xfd}) {
			t.Skip("the xz library allocates what a header asks for")
		}
		trace, err := bench.ParseTrace("t", bytes.NewReader(b), &bench.TraceOptions{MaxAccesses: 1 << 16})
		if err == nil && (trace.Accesses() == 0 || trace.DistinctKeys() > trace.Accesses()) {
			t.Errorf("%d accesses of %d keys", trace.Accesses(), trace.DistinctKeys())
		}
	})
}
