package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/codec"
	"github.com/strata-cache/strata/codec/compression"
)

// description is a record as get --json prints it.
type description struct {
	Key       string               `json:"key"`
	RemoteKey string               `json:"remote_key"`
	Kind      string               `json:"kind"` // value, fence or lease
	Version   uint8                `json:"record_version"`
	Flags     uint8                `json:"flags"`
	Token     string               `json:"token"`
	Expiry    time.Time            `json:"expiry"`
	TTL       string               `json:"ttl"`
	Bytes     int                  `json:"bytes"` // of the whole record
	Problem   string               `json:"problem,omitempty"`
	Envelope  *envelopeDescription `json:"envelope,omitempty"` // of a value without a problem

	codec   codec.ID
	payload []byte
}

// envelopeDescription is what is known of a value.
type envelopeDescription struct {
	Codec         string     `json:"codec"`
	Schema        string     `json:"schema"`
	Created       *time.Time `json:"created,omitempty"`
	SoftExpiry    *time.Time `json:"soft_expiry,omitempty"`
	Tags          []string   `json:"tags"`
	Position      uint64     `json:"position"`
	Incarnation   string     `json:"incarnation"`
	Version       uint64     `json:"source_version"`
	JournalSeq    uint64     `json:"journal_sequence"`
	Negative      bool       `json:"negative"`
	Compressed    bool       `json:"compressed"`
	PayloadBytes  int        `json:"payload_bytes"`            // as it is stored
	Payload       *string    `json:"payload,omitempty"`        // if it is text, or can be shown as such
	PayloadBase64 []byte     `json:"payload_base64,omitempty"` // otherwise
}

// describe says what b, which was found at a key, is. bound is the name of the key to which it is bound: Store.Key.
func describe(key, remoteKey, bound string, b []byte) *description {
	h, body, _ := record.Parse(b) // what a store returns is a record
	d := &description{
		Key: key, RemoteKey: remoteKey, Kind: h.Kind.String(), Version: h.Version, Flags: uint8(h.Flags), Token: h.Token.String(),
		Expiry: h.Expiry.UTC(), TTL: time.Until(h.Expiry).Round(time.Millisecond).String(), Bytes: len(b),
	}
	if h.Kind != record.Value {
		return d
	}
	seal := codec.Seal{Key: bound, Version: h.Version, Kind: byte(h.Kind), Token: h.Token}
	e, err := codec.ParseEnvelope(body, seal, codec.ExtensionCompression)
	compressed := slices.ContainsFunc(e.Extensions, func(x codec.Extension) bool { return x.Type == codec.ExtensionCompression })
	d.codec, d.payload = e.Codec, e.Payload
	if err == nil && compressed {
		d.payload, err = decompress(e.Payload)
	}
	if err != nil {
		d.Problem = err.Error()
		return d
	}
	d.Envelope = &envelopeDescription{
		Codec: e.Codec.String(), Schema: fmt.Sprintf("%016x", e.Schema), Created: optional(e.Created), SoftExpiry: optional(e.SoftExpiry),
		Tags: append([]string{}, e.Tags...), Position: e.Position, Incarnation: fmt.Sprintf("%x", e.Incarnation),
		Version: e.Version, JournalSeq: e.JournalSeq, Negative: e.Negative, Compressed: compressed, PayloadBytes: len(e.Payload),
	}
	if text, err := d.text(); err == nil && utf8.ValidString(text) {
		d.Envelope.Payload = &text
	} else {
		d.Envelope.PayloadBase64 = d.payload
	}
	return d
}

// decompress undoes every algorithm without a dictionary.
func decompress(payload []byte) ([]byte, error) {
	c, err := compression.New(nil)
	if err != nil {
		return nil, err
	}
	return c.Decompress(payload)
}

// text is the payload for people.
func (d *description) text() (string, error) {
	if d.codec != codec.IDMessagePack {
		return string(d.payload), nil
	}
	v, err := codec.MessagePack[any]().Decode(d.payload)
	if err != nil {
		return "", err
	}
	b, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("the value has no JSON form: %w", err)
	}
	return string(b), nil
}

func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
