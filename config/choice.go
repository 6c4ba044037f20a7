package config

import (
	"slices"
	"strings"

	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/policy/journal"
	"github.com/strata-cache/strata/tier"
)

// choose returns which of the names v is, or what is wrong with it; unknown says how one that is none of them is called.
func choose(v string, names []string, unknown string) (i int, problem string) {
	if i = slices.Index(names, v); i < 0 {
		return 0, "is " + unknown + "; known: " + strings.Join(names, ", ")
	}
	return i, ""
}

// modes are what a cache may do when it is written. policyOf turns one into a policy.
var modes = []string{policy.Aside.String(), policy.Through.String(), policy.Behind.String()}

func setMode(s *settings, v string) string {
	i, problem := choose(v, modes, "an unknown mode")
	if problem == "" {
		s.mode = modes[i]
	}
	return problem
}

// contentions are what a read may do while somebody else loads.
var contentions = []string{tier.Wait.String(), tier.Fail.String()}

func setContention(s *settings, v string) string {
	i, problem := choose(v, contentions, "unknown")
	if problem == "" {
		s.contention = tier.Contention(i)
	}
	return problem
}

// unreachables are what a write may do that cannot tell the other nodes.
var unreachables = []string{tier.Commit.String(), tier.Refuse.String()}

func setUnreachable(s *settings, v string) string {
	i, problem := choose(v, unreachables, "unknown")
	if problem == "" {
		s.unreachable = tier.Unreachable(i)
	}
	return problem
}

// fulls are what a write may do that a full journal has no room for.
var fulls = []string{journal.Block.String(), journal.Fail.String(), journal.Shed.String()}

func setFull(s *settings, v string) string {
	i, problem := choose(v, fulls, "unknown")
	if problem == "" {
		s.writing.WhenFull = journal.Full(i)
	}
	return problem
}
