package htmlreport

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"winnow/grader/journal"
)

// attacks are a hundred texts that a page could fall for.
func attacks() (list []string) {
	calls := []string{"window.hit=1", "alert(1)", "fetch('//x.test')", "document.title='hit'"}
	shapes := []string{
		"<script>%s</script>", "</script><script>%s</script>", "<img src=x onerror=%s>", "<svg onload=%s>", "\"><script>%s</script>", "'><img src=x onerror=%s>",
		"<iframe srcdoc='<script>%s</script>'>", "<a href=\"javascript:%s\">x</a>", "<!--<script>%s//-->", "--><script>%s</script>", "]]><script>%s</script>",
		"<style>@import 'javascript:%s'</style>", "</style><script>%s</script>", "</noscript><script>%s</script>", "</title><script>%s</script>",
		"{{.}}<script>%s</script>", "${%s}", "\u2028%s\u2029", "\\u003cscript\\u003e%s", "&lt;script&gt;%s&lt;/script&gt;", "<math><mtext></p><img src=x onerror=%s>",
		"<details open ontoggle=%s>", "<body onload=%s>", "<input autofocus onfocus=%s>", "\x00<scr\x00ipt>%s</script>",
	}
	for _, s := range shapes {
		for _, c := range calls {
			list = append(list, fmt.Sprintf(s, c))
		}
	}
	return list
}

// TestInert: whatever records say, not one byte of the page outside its JSON changes; and
// there it is, to the last character that the page shows.
func TestInert(t *testing.T) {
	texts := attacks()
	if len(texts) != 100 {
		t.Fatalf("%d attacks, want 100", len(texts))
	}
	plain, hostile := examples(100), examples(100)
	for i, x := range texts {
		hostile[i] = example{Instruction: x, Input: x, Output: x, Source: x}
		plain[i].Output = x // the made-up ratings go by its length
	}
	o := func(m made) Options { return Options{Open: m.open, Sample: 100, Field: "source"} }
	a, b := write(t, plain, "accuracy"), write(t, hostile, "accuracy")
	_, before, after := payloadOf(t, a.collect(t, o(a)).page(t))
	p, hostileBefore, hostileAfter := payloadOf(t, b.collect(t, o(b)).page(t))
	if before != hostileBefore || after != hostileAfter {
		t.Error("texts of records change the page outside its JSON")
	}
	if len(p.Rows) != len(texts) {
		t.Fatalf("%d rows, want %d", len(p.Rows), len(texts))
	}
	for i, x := range texts {
		want := clip(x, instructionChars)
		if p.Rows[i][8] != want || p.Rows[i][9] != want || p.Rows[i][10] != clip(x, responseChars) {
			t.Errorf("row %d: %q, want %q", i, p.Rows[i][8:], want)
		}
	}
}

// TestScripts: the scripts never turn text into markup, and ask for nothing.
func TestScripts(t *testing.T) {
	forbidden := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|setAttribute\("on|fetch\(|XMLHttpRequest|import\(|https?:`)
	for _, text := range []string{domText, chartsText, scriptText, styleText} {
		for _, found := range forbidden.FindAllString(strings.ReplaceAll(text, "http://www.w3.org/2000/svg", ""), -1) {
			t.Errorf("a script or the style has %q", found)
		}
	}
}

// TestPolicy: the page's policy lets its own scripts and style through, and nothing else.
func TestPolicy(t *testing.T) {
	m := write(t, examples(40), "accuracy")
	page := m.collect(t, Options{Open: m.open, Sample: 5}).page(t)
	policy := regexp.MustCompile(`http-equiv="Content-Security-Policy" content="([^"]*)"`).FindStringSubmatch(page)
	if policy == nil || !strings.HasPrefix(policy[1], "default-src &#39;none&#39;; ") {
		t.Fatalf("policy %q", policy)
	}
	allowed := strings.NewReplacer("&#39;", "'", "&#43;", "+").Replace(policy[1])
	blocks := regexp.MustCompile(`(?s)<(?:script|style)>(.*?)</(?:script|style)>`).FindAllStringSubmatch(page, -1)
	if len(blocks) != 4 {
		t.Fatalf("%d scripts and styles, want 4", len(blocks))
	}
	for _, b := range blocks {
		if !strings.Contains(allowed, hash(b[1])) {
			t.Errorf("the policy does not name the hash of %.40q…", b[1])
		}
	}
	if strings.Contains(allowed, "unsafe") || strings.Count(allowed, "'sha256-") != 4 {
		t.Errorf("policy %q", allowed)
	}
	for _, found := range regexp.MustCompile(`(?i)\s(?:on[a-z]+|style)=|(?:src|href)="(?:[^#"d]|d[^a])`).FindAllString(page[:strings.Index(page, `<script id="data"`)], -1) {
		t.Errorf("the page has %q", found)
	}
}

// TestHostileJudge: names of models, rubrics and ratings are no markup either.
func TestHostileJudge(t *testing.T) {
	const evil = `"><script>alert(1)</script>`
	m := write(t, examples(40), "accuracy")
	manifest, index, err := journal.Read(m.scores)
	if err != nil {
		t.Fatal(err)
	}
	manifest.Model.Name, manifest.Rubrics[0].Name = evil, evil
	manifest.Scale.Strings = append([]string{}, manifest.Scale.Strings...)
	manifest.Scale.Strings[0] = "<i>&"
	r, err := Collect(manifest, index, Options{Name: evil, Manifest: [][2]string{{evil, evil}}, Sample: 10})
	if err != nil {
		t.Fatal(err)
	}
	page := r.page(t)
	if n := strings.Count(page, "<script"); n != 4 || strings.Contains(page, "<i>") {
		t.Errorf("%d scripts, want 4", n)
	}
	var b strings.Builder
	if err := r.Markdown(&b); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "<script") {
		t.Error("Markdown has a script")
	}
	wellFormed(t, r.histogram(true))
}

// wellFormed reports what is no XML.
func wellFormed(t *testing.T, text string) {
	t.Helper()
	for d := xml.NewDecoder(strings.NewReader(text)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("%v in %.200q", err, text)
		}
	}
}

// TestContrast computes WCAG 2's contrast of the colours of both themes: 4.5 for texts, 3
// for what charts draw.
func TestContrast(t *testing.T) {
	variables := regexp.MustCompile(`--([a-z]+): (#[0-9a-f]{6});`)
	themes := regexp.MustCompile(`(?s)color-scheme: (light|dark);(.*?)}`).FindAllStringSubmatch(styleText, -1)
	if len(themes) != 3 {
		t.Fatalf("%d sets of colours, want 3", len(themes))
	}
	if strings.Join(strings.Fields(themes[1][2]), " ") != strings.Join(strings.Fields(themes[2][2]), " ") {
		t.Error("dark by choice is not dark by the system")
	}
	for _, theme := range themes {
		colour := map[string]string{}
		for _, v := range variables.FindAllStringSubmatch(theme[2], -1) {
			colour[v[1]] = v[2]
		}
		for _, pair := range []struct {
			a, b string
			want float64
		}{
			{"text", "bg", 4.5}, {"text", "card", 4.5}, {"soft", "bg", 4.5}, {"soft", "card", 4.5}, {"link", "bg", 4.5}, {"link", "card", 4.5}, {"cut", "card", 4.5},
			{"text", "note", 4.5}, {"text", "button", 4.5}, {"keep", "card", 3}, {"drop", "card", 3},
		} {
			if got := contrast(t, colour[pair.a], colour[pair.b]); got < pair.want {
				t.Errorf("%s: contrast of %s and %s is %.2f, want %g", theme[1], pair.a, pair.b, got, pair.want)
			}
		}
	}
}

func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	light := func(c string) float64 {
		if len(c) != 7 {
			t.Fatalf("colour %q", c)
		}
		sum := 0.0
		for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
			n, err := strconv.ParseUint(c[1+2*i:][:2], 16, 8)
			if err != nil {
				t.Fatal(err)
			}
			x := float64(n) / 255
			if x <= 0.04045 {
				x /= 12.92
			} else {
				x = math.Pow((x+0.055)/1.055, 2.4)
			}
			sum += weight * x
		}
		return sum
	}
	x, y := light(a), light(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}
