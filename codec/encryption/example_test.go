package encryption_test

import (
	"fmt"
	"strings"

	"github.com/strata-cache/strata/codec"
	"github.com/strata-cache/strata/codec/encryption"
)

// A format with a keyring writes what only its keys can read, and only where it was written.
func Example() {
	key, err := encryption.ParseKey("2026-11", "a2V5cyBsaWtlIHRoaXMgYXJlIGZvciBleGFtcGxlcyE=")
	if err != nil {
		fmt.Println(err)
		return
	}
	keys, err := encryption.New(key)
	if err != nil {
		fmt.Println(err)
		return
	}
	format := codec.Format[string]{Codec: codec.String(), Encryption: keys}
	seal := codec.Seal{Key: "orders/1/{42}"}

	body, err := format.Encode(nil, &codec.Envelope{Tags: []string{"customer:7"}}, seal, "four chairs")
	fmt.Println(strings.Contains(string(body), "chairs"), strings.Contains(string(body), "customer"), err)
	order, envelope, err := format.Decode(body, seal)
	fmt.Println(order, envelope.Tags, err)

	seal.Key = "orders/1/{43}"
	_, _, err = format.Decode(body, seal)
	fmt.Println(err)

	// Output:
	// false false <nil>
	// four chairs [customer:7] <nil>
	// codec: decode: authentication: no holder of the key wrote this for this key and record
}

// Values outlive the key they were encrypted under being replaced, as long as it is in the ring.
func ExampleKeyring_Replace() {
	old, _ := encryption.ParseKey("2026-08", "6b65797320666f72206578616d706c6573206f6e6c792c206e756d626572206f")
	next, _ := encryption.ParseKey("2026-11", "a2V5cyBsaWtlIHRoaXMgYXJlIGZvciBleGFtcGxlcyE=")
	keys, _ := encryption.New(old)
	value, _ := keys.Encrypt(nil, []byte("four chairs"), nil)

	fmt.Println(keys)
	fmt.Println(keys.Replace(next, old))
	plain, err := keys.Decrypt(value, nil)
	fmt.Printf("%v: %s, %v\n", keys, plain, err)

	// Output:
	// keyring of 2026-08
	// <nil>
	// keyring of 2026-11, 2026-08: four chairs, <nil>
}
