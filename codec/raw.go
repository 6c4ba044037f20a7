package codec

// Bytes keeps bytes as they are. Nil and empty are the same: both come back empty and not nil.
func Bytes() Codec[[]byte] { return rawBytes{} }

// String keeps the bytes of a string as they are, whether they are UTF-8 or not.
func String() Codec[string] { return rawString{} }

type rawBytes struct{}

func (rawBytes) Append(dst []byte, v []byte) ([]byte, error) { return append(dst, v...), nil }
func (rawBytes) Decode(b []byte) ([]byte, error)             { return append(make([]byte, 0, len(b)), b...), nil }
func (rawBytes) ID() ID                                      { return IDBytes }
func (rawBytes) Schema() uint64                              { return 0 }

type rawString struct{}

func (rawString) Append(dst []byte, v string) ([]byte, error) { return append(dst, v...), nil }
func (rawString) Decode(b []byte) (string, error)             { return string(b), nil }
func (rawString) ID() ID                                      { return IDString }
func (rawString) Schema() uint64                              { return 0 }
