package llama

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"winnow/internal/tinygguf"
)

func pieces(t testing.TB, v *Vocab, toks []Token) string {
	t.Helper()
	var b []byte
	for _, tok := range toks {
		var err error
		if b, err = v.Piece(b, tok, true); err != nil {
			t.Fatal(err)
		}
	}
	return string(b)
}

func TestVocab(t *testing.T) {
	both(t, func(t *testing.T, kind tinygguf.Tokenizer) {
		v := loadTiny(t, tinygguf.Options{Tokenizer: kind}).Vocab()
		list := kind.Tokens()
		if v.Size() != len(list) {
			t.Fatalf("%d tokens, want %d", v.Size(), len(list))
		}
		types := map[tinygguf.TokenType]Attr{
			tinygguf.Control: AttrControl, tinygguf.UserDefined: AttrUserDefined,
			tinygguf.Byte: AttrByte, tinygguf.Unknown: AttrUnknown,
		}
		for id, tok := range list {
			if got := v.Text(Token(id)); got != tok.Text {
				t.Errorf("token %d is %q, want %q", id, got, tok.Text)
			}
			for typ, attr := range types {
				if got := v.Attr(Token(id))&attr != 0; got != (tok.Type == typ) {
					t.Errorf("token %d, %q: attribute %d is %v", id, tok.Text, attr, got)
				}
			}
		}
		want := map[string]Token{"<|endoftext|>": v.BOS(), "<|im_end|>": v.EOS()}
		if kind == tinygguf.SPM {
			want = map[string]Token{"<s>": v.BOS(), "</s>": v.EOS(), "<|im_end|>": v.EOT()}
		}
		for text, id := range want {
			if v.Text(id) != text {
				t.Errorf("token %d is %q, want %q", id, v.Text(id), text)
			}
		}
		if !v.IsEOG(v.EOS()) || v.IsEOG(tokenOf(t, v, "<|im_start|>")) {
			t.Error("EOS must end a generation, the start of a turn must not")
		}
		if v.AddBOS() != (kind == tinygguf.SPM) {
			t.Errorf("AddBOS() = %v", v.AddBOS())
		}
	})
}

// tokenOf returns the special token of that text.
func tokenOf(t testing.TB, v *Vocab, text string) Token {
	t.Helper()
	toks, err := v.Tokenize(nil, text, true)
	if err != nil {
		t.Fatal(err)
	}
	toks = slices.DeleteFunc(toks, func(id Token) bool { return strings.TrimSpace(pieces(t, v, []Token{id})) == "" })
	if len(toks) != 1 {
		t.Fatalf("%q is the tokens %v, want one", text, toks)
	}
	return toks[0]
}

func TestOutsideVocab(t *testing.T) {
	v := loadTiny(t, tinygguf.Options{}).Vocab()
	for _, id := range []Token{-1, NoToken, Token(v.Size()), 1 << 30, -1 << 31} {
		if v.Text(id) != "" || v.Attr(id) != 0 || v.IsEOG(id) {
			t.Errorf("token %d: %q, %d, %v, want nothing", id, v.Text(id), v.Attr(id), v.IsEOG(id))
		}
		if dst, err := v.Piece([]byte("x"), id, true); err == nil || string(dst) != "x" {
			t.Errorf("piece of token %d: %q, %v, want an error", id, dst, err)
		}
	}
}

// TestRoundTrip tokenizes texts and puts them together again.
func TestRoundTrip(t *testing.T) {
	texts := []string{
		"a", " ", "\n", "\t\n  x  \n\n", "The answer is 42.", "é ü 漢字 🙂", "a\x00b", "0.5 1 10 100",
		strings.Repeat("world ", 1000), strings.Repeat("x", 5000), "<|im_start|>user\nHi<|im_end|>", "<tool_call>{}</tool_call>",
	}
	both(t, func(t *testing.T, kind tinygguf.Tokenizer) {
		v := loadTiny(t, tinygguf.Options{Tokenizer: kind}).Vocab()
		for _, text := range texts {
			for _, special := range []bool{false, true} {
				toks, err := v.Tokenize(nil, text, special)
				if err != nil {
					t.Fatal(err)
				}
				want := text
				if kind == tinygguf.SPM { // a space comes before text, also behind a special token
					want = " " + text
					if strings.HasPrefix(text, "<") {
						continue
					}
				}
				if got := pieces(t, v, toks); got != want {
					t.Errorf("%.40q, special %v: back comes %.40q", text, special, got)
				}
			}
		}
		if toks, err := v.Tokenize([]Token{7}, "", true); err != nil || !slices.Equal(toks, []Token{7}) {
			t.Errorf("an empty text: %v, %v", toks, err)
		}
		toks, err := v.Tokenize([]Token{7}, "a", false)
		if err != nil || len(toks) < 2 || toks[0] != 7 {
			t.Errorf("Tokenize does not append: %v, %v", toks, err)
		}
	})
}

// TestSpecial checks that control tokens come of text only when asked for.
func TestSpecial(t *testing.T) {
	both(t, func(t *testing.T, kind tinygguf.Tokenizer) {
		v := loadTiny(t, tinygguf.Options{Tokenizer: kind}).Vocab()
		start := tokenOf(t, v, "<|im_start|>")
		for _, special := range []bool{false, true} {
			toks, err := v.Tokenize(nil, "a <|im_start|> b", special)
			if err != nil {
				t.Fatal(err)
			}
			if got := slices.Contains(toks, start); got != special {
				t.Errorf("special %v: %v, and <|im_start|> among them is %v", special, toks, got)
			}
		}
		if b, err := v.Piece(nil, start, false); len(b) != 0 || err != nil {
			t.Errorf("a control token stands for %q, %v", b, err)
		}
	})
}

func TestChatTemplate(t *testing.T) {
	long := strings.Repeat("long ", 1000)
	for _, c := range []struct {
		messages []Message
		want     string
	}{
		{[]Message{{"user", "Hi"}}, "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"},
		{[]Message{{"system", "Be brief."}, {"user", long}}, "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n" + long + "<|im_end|>\n<|im_start|>assistant\n"},
	} {
		if got, err := ApplyChatTemplate(tinygguf.ChatML, c.messages); got != c.want || err != nil {
			t.Errorf("%.60q, %v, want %.60q", got, err, c.want)
		}
	}
	if _, err := ApplyChatTemplate("{{ nothing that is known }}", []Message{{"user", "Hi"}}); !errors.Is(err, ErrUnknownTemplate) {
		t.Errorf("an unknown template: %v, want %v", err, ErrUnknownTemplate)
	}
	if _, err := ApplyChatTemplate(tinygguf.ChatML, nil); err == nil {
		t.Error("no messages: no error")
	}
}
