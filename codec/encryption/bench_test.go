package encryption_test

import (
	"fmt"
	"testing"
)

func TestAllocations(t *testing.T) {
	ring := newRing(t, newKey(t, "2026-11"))
	plaintext, context := make([]byte, 300), make([]byte, 80)
	dst := make([]byte, 0, 1<<10)
	if n := testing.AllocsPerRun(100, func() { ring.Encrypt(dst, plaintext, context) }); n != 0 {
		t.Errorf("Encrypt: %v allocations", n)
	}
	sealed, err := ring.Encrypt(nil, plaintext, context)
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { ring.Decrypt(sealed, context) }); n != 1 {
		t.Errorf("Decrypt: %v allocations, want the plaintext's alone", n)
	}
}

func BenchmarkEncrypt(b *testing.B) {
	ring := newRing(b, newKey(b, "2026-11"))
	context := make([]byte, 80)
	for _, size := range []int{300, 4 << 10, 64 << 10} {
		b.Run(fmt.Sprintf("bytes=%d", size), func(b *testing.B) {
			plaintext, dst := make([]byte, size), make([]byte, 0, size+100)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ring.Encrypt(dst, plaintext, context); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecrypt(b *testing.B) {
	ring := newRing(b, newKey(b, "2026-11"))
	context := make([]byte, 80)
	for _, size := range []int{300, 4 << 10, 64 << 10} {
		b.Run(fmt.Sprintf("bytes=%d", size), func(b *testing.B) {
			sealed, err := ring.Encrypt(nil, make([]byte, size), context)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ring.Decrypt(sealed, context); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
