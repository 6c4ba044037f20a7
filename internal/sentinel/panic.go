package sentinel

import "fmt"

// A PanicError is a panic of a function that a user gave us.
type PanicError struct {
	Value any
	Stack []byte // of the panic
}

func (e *PanicError) Error() string { return fmt.Sprintf("panicked: %v", e.Value) }
