package main

import (
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/codec"
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
	Position      uint64     `json:"bus_position"`
	Incarnation   string     `json:"bus_incarnation"`
	Version       uint64     `json:"source_version"`
	JournalSeq    uint64     `json:"journal_sequence"`
	Negative      bool       `json:"negative"`
	PayloadBytes  int        `json:"payload_bytes"`
	Payload       *string    `json:"payload,omitempty"`        // if it is text, or can be shown as such
	PayloadBase64 []byte     `json:"payload_base64,omitempty"` // otherwise
}

// describe says what b, which was found at a key, is.
func describe(key, remoteKey string, b []byte) *description {
	h, body, _ := record.Parse(b) // what a store returns is a record
	d := &description{
		Key: key, RemoteKey: remoteKey, Kind: h.Kind.String(), Version: h.Version, Flags: uint8(h.Flags), Token: h.Token.String(),
		Expiry: h.Expiry.UTC(), TTL: time.Until(h.Expiry).Round(time.Millisecond).String(), Bytes: len(b),
	}
	if h.Kind != record.Value {
		return d
	}
	e, err := codec.ParseEnvelope(body, codec.Seal{Key: remoteKey, Version: h.Version, Kind: byte(h.Kind), Token: h.Token})
	if err != nil {
		d.Problem = err.Error()
		return d
	}
	d.codec, d.payload = e.Codec, e.Payload
	d.Envelope = &envelopeDescription{
		Codec: e.Codec.String(), Schema: fmt.Sprintf("%016x", e.Schema), Created: optional(e.Created), SoftExpiry: optional(e.SoftExpiry),
		Tags: append([]string{}, e.Tags...), Position: e.Position, Incarnation: fmt.Sprintf("%x", e.Incarnation),
		Version: e.Version, JournalSeq: e.JournalSeq, Negative: e.Negative, PayloadBytes: len(e.Payload),
	}
	if text, err := d.text(); err == nil && utf8.ValidString(text) {
		d.Envelope.Payload = &text
	} else {
		d.Envelope.PayloadBase64 = e.Payload
	}
	return d
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
