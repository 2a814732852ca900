package grader

import (
	"math"
	"regexp"
	"strconv"
	"strings"
)

// shownFigure is a number with so many digits behind the point.
func shownFigure(f Figure, digits int) string {
	if math.IsNaN(float64(f)) || math.IsInf(float64(f), 0) {
		return "–"
	}
	return strconv.FormatFloat(float64(f), 'f', digits, 64)
}

func percent(part, whole int) string {
	if whole == 0 {
		return "–"
	}
	return strconv.FormatFloat(100*float64(part)/float64(whole), 'f', 1, 64) + " %"
}

// plain is a text in one line without characters that control anything.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r < ' ' || r == 0x7f || r == 0x2028 || r == 0x2029:
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// markdown makes characters that Markdown, its tables or HTML would read plain ones.
var markdown = strings.NewReplacer(
	`\`, `\\`, "|", `\|`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "<", "&lt;", ">", "&gt;", "&", "&amp;", "#", `\#`, "~", `\~`, "!", `\!`)

// inline is a text from elsewhere in a line of Markdown.
func inline(s string) string { return markdown.Replace(plain(s)) }

// code is a text from elsewhere as code in a line or a table.
func code(s string) string {
	return "`" + strings.NewReplacer("`", "'", "|", `\|`).Replace(plain(s)) + "`"
}

// comment is a text in a line of a code block.
func comment(s string) string { return strings.ReplaceAll(plain(s), "```", "'''") }

// shellSafe are arguments that a shell takes as they are.
var shellSafe = regexp.MustCompile(`^[A-Za-z0-9_./,:=@%+-]+$`)

// shell is one argument of a command.
func shell(s string) string {
	s = comment(s)
	if shellSafe.MatchString(s) && s[0] != '-' {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
