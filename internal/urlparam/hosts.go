package urlparam

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
)

// Hosts reads the list of servers of a URL, host[:port][,host[:port]…], and returns each as host:port, lower-case, in the
// order of the list. A host may be an IPv6 address in brackets. It reports every problem at once: an empty list or host, a
// host that is none, a bad port, a server named twice. net/url knows one host only, hence this.
//
// Errors name hosts and never show what stands in place of a port: in a mistyped URL that may be a password.
func Hosts(list, defaultPort string) ([]string, error) {
	if list == "" {
		return nil, errors.New("no server is named")
	}
	var servers []string
	var problems []error
	for part := range strings.SplitSeq(list, ",") {
		server, err := address(part, defaultPort)
		switch {
		case err != nil:
			problems = append(problems, err)
		case slices.Contains(servers, server):
			problems = append(problems, fmt.Errorf("server %s is named twice", server))
		default:
			servers = append(servers, server)
		}
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return servers, nil
}

// address returns host:port of one server, lower-case.
func address(s, defaultPort string) (string, error) {
	host, port := s, defaultPort
	if bare, ok := strings.CutPrefix(s, "["); ok && strings.HasSuffix(s, "]") {
		host = strings.TrimSuffix(bare, "]")
	} else if strings.Contains(s, ":") {
		var err error
		if host, port, err = net.SplitHostPort(s); err != nil {
			name, _, _ := strings.Cut(s, ":")
			return "", fmt.Errorf("server %q is not host:port", name)
		}
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 || port[0] == '+' {
		return "", fmt.Errorf("server %q: its port is not a number from 1 to 65535", host)
	}
	if host == "" {
		return "", errors.New("a server has no host")
	}
	if strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r == 0x7f }) || strings.ContainsAny(host, "/\\#%?@[]\"") {
		return "", errors.New("a server's host has characters that no host has")
	}
	return net.JoinHostPort(strings.ToLower(host), port), nil
}
