package record

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// said is one message of a conversation that a law is checked with.
type said struct{ label, text string }

// drawChat draws a conversation and its JSON.
func drawChat(t *rapid.T) (chat []said, data []byte) {
	texts := rapid.OneOf(
		rapid.SampledFrom([]string{"", " ", "\n\t", "User: x", "\"\\", "é😀\u2028", "<|im_end|>", "\x00", "]}],[{"}),
		rapid.StringN(1, 12, -1),
	)
	names := map[string][]string{
		"System": {"system", "developer", "System"}, "User": {"user", "human", "USER"},
		"Assistant": {"assistant", "gpt", "chatgpt"}, "Tool": {"tool", "function", "observation"},
	}
	labels := rapid.SampledFrom([]string{"System", "User", "User", "Assistant", "Assistant", "Tool"})
	list := []any{}
	for range rapid.IntRange(0, 9).Draw(t, "messages") {
		m := said{labels.Draw(t, "label"), texts.Draw(t, "text")}
		chat = append(chat, m)
		role := rapid.SampledFrom(names[m.label]).Draw(t, "role")
		content := any(m.text)
		if runes := []rune(m.text); rapid.Bool().Draw(t, "parts") {
			at := rapid.IntRange(0, len(runes)).Draw(t, "cut")
			content = []any{
				map[string]any{"type": "text", "text": string(runes[:at])},
				map[string]any{"type": "text", "text": string(runes[at:]), "annotations": []any{1}},
			}
		}
		message := map[string]any{"role": role, "content": content, "weight": 1}
		if rapid.Bool().Draw(t, "ShareGPT") {
			message = map[string]any{"from": role, "value": content}
		}
		list = append(list, message)
	}
	key := rapid.SampledFrom([]string{"messages", "conversations"}).Draw(t, "key")
	return chat, encoded(t, map[string]any{"id": 7, key: list, "nested": map[string]any{"messages": 1}})
}

func encoded(t *rapid.T, v any) []byte {
	b, err := MarshalPlain(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// expectedTurns says what the turns of a conversation must be, by its definition,
// turn for turn.
func expectedTurns(chat []said) (turns []want) {
	for i, m := range chat {
		if m.label != "Assistant" {
			continue
		}
		end := i - 1
		for end >= 0 && chat[end].label != "User" {
			end--
		}
		if end < 0 {
			turns = append(turns, fault(NoInstruction, "no message of the user"))
			continue
		}
		begin := end
		for begin > 0 && chat[begin-1].label == "User" {
			begin--
		}
		instruction := chat[begin].text
		if begin < end {
			var texts []string
			for _, u := range chat[begin : end+1] {
				if strings.TrimSpace(u.text) != "" {
					texts = append(texts, u.text)
				}
			}
			instruction = strings.Join(texts, "\n\n")
		}
		upTo := begin
		if show(chat[end+1:i]) != "" {
			upTo = i
		}
		switch {
		case strings.TrimSpace(instruction) == "":
			turns = append(turns, fault(NoInstruction, "has no text"))
		case strings.TrimSpace(m.text) == "":
			turns = append(turns, fault(EmptyResponse, "white space"))
		default:
			turns = append(turns, ok(instruction, show(chat[:upTo]), m.text))
		}
	}
	return turns
}

func show(chat []said) string {
	var lines []string
	for _, m := range chat {
		if strings.TrimSpace(m.text) != "" {
			lines = append(lines, m.label+": "+m.text)
		}
	}
	return strings.Join(lines, "\n\n")
}

// A file of conversations gives a Record for each turn of the assistant, in order
// and in its context, and other records stand between as they are.
func TestConversationLaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var lines []string
		var all [][]want // of each record
		for range rapid.IntRange(1, 6).Draw(t, "records") {
			if rapid.IntRange(0, 3).Draw(t, "kind") == 0 {
				lines, all = append(lines, good), append(all, []want{ok("i", "", "o")})
				continue
			}
			chat, data := drawChat(t)
			turns := expectedTurns(chat)
			if turns == nil {
				turns = []want{fault(NoResponse, "none of the assistant")}
			}
			lines, all = append(lines, string(data)), append(all, turns)
		}
		src := strings.Join(lines, "\n") + "\n"
		if rapid.Bool().Draw(t, "array") {
			src = "[" + strings.Join(lines, ",\n") + "]"
		}
		recs, _, err := readString(src, Options{})
		if err != nil {
			t.Fatal(err)
		}
		at := 0
		for i, turns := range all {
			for n, w := range turns {
				if at == len(recs) {
					t.Fatalf("%d records of\n%s", len(recs), src)
				}
				rec := recs[at]
				at++
				if rec.Index != i || rec.Line != i+1 || rec.Turn != n || rec.Turns != len(turns) || string(rec.Raw) != lines[i] {
					t.Fatalf("turn %d of record %d is %+v", n, i, rec)
				}
				if w.status != "" {
					if rec.Fault == nil || rec.Fault.Status != w.status || !strings.Contains(rec.Fault.Reason, w.reason) {
						t.Fatalf("turn %d of %s: fault %v, want %+v", n, lines[i], rec.Fault, w)
					}
				} else if rec.Fault != nil || rec.Instruction != w.instruction || rec.Input != w.input || rec.Response != w.response {
					t.Fatalf("turn %d of %s:\n%+v, fault %v; want\n%+v", n, lines[i], rec, rec.Fault, w)
				}
			}
		}
		if at != len(recs) {
			t.Fatalf("%d records, want %d:\n%s", len(recs), at, src)
		}
		sum, err := Scan(NewReader(strings.NewReader(src), "data", Options{}), 0)
		if err != nil || sum.Records != len(all) || sum.Turns != len(recs) {
			t.Fatalf("a scan finds %+v, %v; want %d records with %d turns", sum, err, len(all), len(recs))
		}
		limit := rapid.IntRange(1, len(all)).Draw(t, "limit")
		turns := 0
		for _, list := range all[:limit] {
			turns += len(list)
		}
		sum, err = Scan(NewReader(strings.NewReader(src+"?"), "data", Options{}), limit)
		if err != nil || sum.Records != limit || sum.Turns != turns {
			t.Fatalf("a scan of %d records finds %+v, %v; want %d turns", limit, sum, err, turns)
		}
	})
}

// A record that is no conversation costs no more than before there were any.
func TestParseAllocations(t *testing.T) {
	raw := []byte(`{"instruction":"Add the numbers.","input":"2 and 3","output":"5","id":7,"tags":["a","b"]}`)
	const most = 6
	if n := testing.AllocsPerRun(1000, func() {
		if recs := Parse(raw, 0, "data", 1, Fields{}); len(recs) != 1 || recs[0].Fault != nil {
			t.Errorf("%d records, fault %v", len(recs), recs[0].Fault)
		}
	}); n > most {
		t.Errorf("a record takes %v allocations, want at most %d", n, most)
	}
}
