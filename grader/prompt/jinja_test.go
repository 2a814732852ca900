package prompt

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestJinja(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	const loop = `{% for i in range(9999) %}`
	for _, c := range []struct{ template, want, err string }{
		{"{{ bos_token }}{{ eos_token }}{{ messages[0]['content'] }}{{ messages[0].role }}", "<s></s>hiuser", ""},
		{"{{ add_generation_prompt }} {{ enable_thinking }} {{ tools is defined }}", "True False False", ""},
		{"{% if true %}\n  a\n  {% endif %}\nb\n", "  a\nb", ""}, // blocks trimmed as Hugging Face does
		{"{{ strftime_now('%Y-%m-%d, %d %B %y') }}", "2024-07-26, 26 July 24", ""},
		{"{% for i in range(2) %}{{ i }}{% endfor %}{% for i in range(5, 1, -2) %}{{ i }}{% endfor %}", "0153", ""},
		{"{% set x = namespace(n=0) %}{% for i in range(1, 4) %}{% set x.n = x.n + i %}{% endfor %}{{ x.n }}", "6", ""},
		{"{{ ' a '.lstrip() }}|{{ ' a '.rstrip() }}|{{ ' a '.strip() }}|{{ 'xay'.rstrip('y') }}", "a | a|a|xa", ""},
		{"{{ 'aaa'.replace('a', 'b') }}{{ 'aaa'.replace('a', 'b', 1) }}", "bbbbaa", ""},
		{"{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m('a') }}{{ m(x='b') }}", "<a><b>", ""},
		{"{% generation %}a{% endgeneration %}", "a", ""},
		{"{{ 'abc'.startswith('a') }}{{ 'a,b'.split(',')[-1] }}{{ '{}!'.format('x') }}", "Truebx!", ""},
		{"{{ 'ab'.split(',')[-1].upper() }}{{ 'a,b'.split(',')[-2] }}{{ 'ab'.split(',')[-2] }}{{ 'ab'.split(',')[1] }}{{ 'a,b'.rsplit(',')[0] }}", "ABaa", ""},
		{"{{ 'a b'.split(' ') | length }}{% for x in 'a,b'.split(',') %}<{{ x }}>{% endfor %}{{ 'a,b'.split(',') | join('-') }}{{ 'a,b,c'.split(',')[1:] | last }}", "2<a><b>a-bc", ""},
		{"{{ messages[-1].content }}{{ messages[-2] is defined }}{{ messages[::-1][0].role }}{{ messages[0:] | length }}", "hiFalseuser1", ""},

		{"a{{ raise_exception('no tools here') }}", "", "it says: no tools here"},
		{"a{{ raise_exception() }}", "", "it says: no reason given"},
		{"{{ 1 % 0 }}", "", "the template engine fails on it: "},
		{"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "", "macro calls more than 100 deep"},
		{"{% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}", "", "recursive loops are not supported"},
		{"{% for i in range(1000000000) %}{% endfor %}", "", "more than 10000 numbers"},
		{"{% for i in range(1, 2, 0) %}{% endfor %}", "", "the step is 0"},
		{"{{ range('a') }}", "", "range wants integers"},
		{"{{ range() }}", "", "range takes one to three integers"},
		{"{{ strftime_now() }}", "", "strftime_now takes one argument"},
		{"{{ 'a'.replace('a') }}", "", "replace takes two strings"},
		{"{{ 'a'.rstrip(1) }}", "", "a string of characters"},
		{loop + strings.Repeat("x", 200) + "{% endfor %}", "", "grows beyond"},
		{"{% include '" + secret + "' %}", "", "'include' not found"},
		{"{% import '" + secret + "' as x %}", "", "'import' not found"},
		{"{% extends '" + secret + "' %}", "", "'extends' not found"},
		{"{% generation x %}{% endgeneration %}", "", "generation takes no arguments"},
		{"{% generation %}", "", "it cannot be parsed"},
		{"{{ " + strings.Repeat("(", maxNesting), "", "nest more than 500 deep"},
		{strings.Repeat("x", maxTemplateBytes+1), "", "want 131072 at most"},
		{"{{ messages | nosuchfilter }}", "", "nosuchfilter"},
		{"{{", "", "it cannot be parsed"},
	} {
		var got string
		tm, err := Jinja(c.template, "<s>", "</s>")
		if err == nil {
			got, err = tm.Render([]Message{{"user", "hi"}}, true)
		}
		short := c.template[:min(len(c.template), 60)]
		if c.err == "" && (err != nil || got != c.want) {
			t.Errorf("%q: got %q, %v; want %q", short, got, err, c.want)
		}
		if c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%q: got %q, %v; want an error with %q", short, got, err, c.err)
		}
		if err != nil && len(err.Error()) > 300 {
			t.Errorf("%q: an error of %d bytes", short, len(err.Error()))
		}
	}
}

// A template may be rendered again, and what it did to its values is gone.
func TestJinjaRendersAfresh(t *testing.T) {
	tm, err := Jinja("{% set _ = messages[0].update({'content': messages[0].content ~ '!'}) %}{% set _ = messages.append(1) %}{{ messages[0].content }}{{ messages | length }}", "", "")
	if err != nil {
		t.Fatal(err)
	}
	first, err := tm.Render([]Message{{"user", "a"}}, true)
	if err != nil {
		t.Fatal(err)
	}
	second, err := tm.Render([]Message{{"user", "a"}}, true)
	if err != nil || second != first {
		t.Errorf("first %q, then %q, %v", first, second, err)
	}
}
