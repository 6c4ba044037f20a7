package bench

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/strata-cache/strata/tier"
)

// Latency sums up how long reads took, in nanoseconds. Percentiles are right to three digits.
type Latency struct {
	Mean int64 `json:"mean_ns"`
	P50  int64 `json:"p50_ns"`
	P90  int64 `json:"p90_ns"`
	P99  int64 `json:"p99_ns"`
	P999 int64 `json:"p999_ns"`
	Max  int64 `json:"max_ns"`
}

// longest is the longest time that is told apart from longer ones.
const longest = int64(2 * time.Minute)

// Latencies counts reads by the tier that answered. It is not safe for concurrent use.
type Latencies struct {
	tiers [3]*hdrhistogram.Histogram
}

// NewLatencies returns empty ones.
func NewLatencies() *Latencies {
	l := new(Latencies)
	for i := range l.tiers {
		l.tiers[i] = hdrhistogram.New(1, longest, 3)
	}
	return l
}

// Record counts a read that t answered and that took d.
func (l *Latencies) Record(t tier.Tier, d time.Duration) {
	if i := int(t) - int(tier.Local); i >= 0 && i < len(l.tiers) {
		_ = l.tiers[i].RecordValue(min(max(int64(d), 1), longest)) // cannot be out of range
	}
}

// Merge adds those of m.
func (l *Latencies) Merge(m *Latencies) {
	for i := range l.tiers {
		l.tiers[i].Merge(m.tiers[i])
	}
}

// Tiers sums up.
func (l *Latencies) Tiers() Tiers {
	var total int64
	for _, h := range l.tiers {
		total += h.TotalCount()
	}
	of := func(t tier.Tier) Tier {
		h := l.tiers[t-tier.Local]
		n := h.TotalCount()
		if n == 0 {
			return Tier{}
		}
		return Tier{
			Reads: uint64(n),
			Share: float64(n) / float64(total),
			Latency: Latency{
				Mean: int64(h.Mean()),
				P50:  h.ValueAtQuantile(50),
				P90:  h.ValueAtQuantile(90),
				P99:  h.ValueAtQuantile(99),
				P999: h.ValueAtQuantile(99.9),
				Max:  h.Max(),
			},
		}
	}
	return Tiers{Local: of(tier.Local), Remote: of(tier.Remote), Source: of(tier.Source)}
}

// Encode returns the histograms in HdrHistogram's own compressed form, for another process.
func (l *Latencies) Encode() ([3]string, error) {
	var out [3]string
	for i, h := range l.tiers {
		b, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
		if err != nil {
			return out, err
		}
		out[i] = string(b)
	}
	return out, nil
}

// DecodeLatencies is the inverse of Encode.
func DecodeLatencies(in [3]string) (*Latencies, error) {
	l := NewLatencies()
	for i, s := range in {
		h, err := hdrhistogram.Decode([]byte(s))
		if err != nil {
			return nil, err
		}
		l.tiers[i].Merge(h)
	}
	return l, nil
}
