package wire_test

import (
	"fmt"
	"io"
	"net"

	"github.com/strata-cache/strata/internal/fault/wire"
)

func Example() {
	server, err := wire.Listen(func(c net.Conn) { io.Copy(c, c) })
	if err != nil {
		panic(err)
	}
	defer server.Close()
	proxy, err := wire.New(server.Addr())
	if err != nil {
		panic(err)
	}
	defer proxy.Close()

	c, err := net.Dial("tcp", proxy.Addr())
	if err != nil {
		panic(err)
	}
	defer c.Close()
	proxy.Set(wire.Fault{ResetAfter: 5}, wire.ToClient)
	fmt.Fprint(c, "hello, world")
	answer, err := io.ReadAll(c)
	fmt.Println(len(answer) <= 5, err != nil)
	// Output: true true
}
