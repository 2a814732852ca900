package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"winnow/grader/verdict"
)

// whereHelp is what help says of expressions.
const whereHelp = `--where and --by take expressions. --where 'rating >= 4 && ifd < 1' keeps records for
which it holds; with --min or --min-prob both must pass; --top counts among those that
pass. An expression names
  rating             the least expected rating of the criteria
  accuracy           that of one criterion, by its name; or criteria["accuracy"]
  mode               the most probable rating, the least of the criteria's
  p(X)               probability of a rating of X or more, the least of the criteria's
  entropy off_scale  in nats; probability of no rating; the greatest of the criteria's
  calibrated         probability to be kept, where graded with --calibration
  nll ppl ifd ifd_ppl ifd_plain nll_answer nll_alone instruction_tokens response_tokens
                     signals, where graded with --signals
  tokens truncated   tokens of the prompt; whether some of the record were left out
  length words       of the response: characters, words
  instruction input response
                     texts, for ==, contains, matches, startsWith, endsWith
  turns index        turns of the conversation; the record's place in DATA, from 0
and has numbers, "texts", true, false, + - * / % **, comparisons, in [1, 2], and or not
(&& || !), cond ? a : b, min max abs round floor ceil log exp len lower upper trim. Of a
conversation texts are those of the last turn. A signal can be undefined, such as that
of an empty response: no comparison with it holds.`

func whereFlag() cli.Flag {
	return &cli.StringFlag{Name: "where", DefaultText: "not asked", Usage: "keep records for which the expression `EXPR` holds"}
}

// checkExpressions refuses what no scores file could make right.
func checkExpressions(c *cli.Context) error {
	for _, name := range []string{"where", "by"} {
		if c.IsSet(name) && c.String(name) == "" {
			return usagef("--%s is empty: give an expression, such as rating", name)
		}
	}
	if c.IsSet("by") && c.Command.Name != "select" && !c.IsSet("top") && !c.IsSet("top-percent") {
		return usagef("--by orders the records of a budget: give --top N or --top-percent P as well")
	}
	return nil
}

// expressions compiles --where and --by; nil for what is not given.
func expressions(c *cli.Context, v verdict.Vocabulary) (where *verdict.Condition, by *verdict.Order, err error) {
	if c.IsSet("where") {
		if where, err = verdict.CompileCondition(c.String("where"), v); err != nil {
			return nil, nil, usageError{fmt.Errorf("--where: %w", err)}
		}
	}
	if c.IsSet("by") {
		if by, err = verdict.CompileOrder(c.String("by"), v); err != nil {
			return nil, nil, usageError{fmt.Errorf("--by: %w", err)}
		}
	}
	return where, by, nil
}
