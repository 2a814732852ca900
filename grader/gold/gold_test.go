package gold

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"winnow/grader/record"
)

// write makes a file of that name and returns its path.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// data returns what opens records of three texts each.
func data(texts ...[3]string) func() (record.Source, error) {
	var list []*record.Record
	for i, x := range texts {
		list = append(list, record.Made(i, x[0], x[1], x[2]))
	}
	return func() (record.Source, error) { return record.FromList(list), nil }
}

// refuses fails unless err has all the parts.
func refuses(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error %q, want %q in it", err, p)
		}
	}
}

func TestPairs(t *testing.T) {
	for name, c := range map[string]struct {
		text, format string
		want         []Pair
	}{
		"llmbar": {`[{"input":"Add 1 and 1.","output_1":"2","output_2":"3","label":1},
			{"input":"Name a tree.","output_1":"","output_2":"An oak.","label":2}]`, LLMBar,
			[]Pair{{0, "Add 1 and 1.", "", "2", "3", A}, {1, "Name a tree.", "", "", "An oak.", B}}},
		"pandalm": {`[{"idx":7,"instruction":"Q","input":NaN,"response1":"say NaN, \"NaN","response2":"b","annotator1":1,"annotator2":1,"annotator3":2},
			{"idx":8,"instruction":"Q","input":"x","response1":NaN,"response2":"b","annotator1":1,"annotator2":0,"annotator3":2},
			{"idx":9,"instruction":"Q","input":"x","response1":"a","response2":"b","annotator1":2,"annotator2":0,"annotator3":2},
			{"idx":9,"instruction":"Q","input":"x","response1":"a","response2":"b","annotator1":0,"annotator2":0,"annotator3":2}]`, PandaLM,
			[]Pair{{0, "Q", "", `say NaN, "NaN`, "b", A}, {1, "Q", "x", "", "b", Tie}, {2, "Q", "x", "a", "b", B}, {3, "Q", "x", "a", "b", Tie}}},
		"plain": {`{"instruction":"Q","response_a":"a","response_b":"b","better":"b"}
{"instruction":"Q","input":"i","response_a":"a","response_b":"b","better":"tie"}
`, Plain, []Pair{{0, "Q", "", "a", "b", B}, {1, "Q", "i", "a", "b", Tie}}},
	} {
		path := write(t, name, c.text)
		got, format, err := ReadPairs(path)
		if err != nil || format != c.format || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, %q, %v, want %v", name, got, format, err, c.want)
		}
		if kind, err := Detect(path); kind != Paired || err != nil {
			t.Errorf("%s is %q, %v, want pairs", name, kind, err)
		}
	}
}

func TestPairsRefused(t *testing.T) {
	good := `{"instruction":"Q","response_a":"a","response_b":"b","better":"b"}` + "\n"
	for _, c := range []struct {
		text  string
		parts []string
	}{
		{"", []string{"empty"}},
		{"[]", []string{"holds nothing"}},
		{good + `{"instruction":"Q","response_a":"a","better":"b"}`, []string{"gold:2:", `"response_b" is missing, want a string`}},
		{good + `{"instruction":"Q","response_a":5,"response_b":"b","better":"b"}`, []string{"gold:2:", `"response_a" is 5, want a string`}},
		{good + `{"instruction":"Q","response_a":"a","response_b":"b","better":"c"}`, []string{"gold:2:", `"better" is "c", want "a", "b" or "tie"`}},
		{good + `{"instruction":"Q",`, []string{"gold:2:"}},
		{good + `5`, []string{"gold:2:", "want an object"}},
		{`{"a":1}`, []string{"gold:1:", "this is no pair"}},
		{`[{"input":"Q","output_1":"a","output_2":"b","label":3}]`, []string{"gold:1:", `"label" is 3, want 1 or 2`}},
		{`[{"input":"Q","output_1":"a","output_2":"b"}]`, []string{`"label" is missing`}},
		{`[{"instruction":"Q","response1":"a","response2":"b","annotator1":1,"annotator2":4,"annotator3":1}]`, []string{`"annotator2" is 4`}},
		{"{\"instruction\":\"\xff\"}", []string{"gold:1:", "not valid UTF-8"}},
	} {
		_, _, err := ReadPairs(write(t, "gold", c.text))
		refuses(t, err, c.parts...)
	}
	_, _, err := ReadPairs(filepath.Join(t.TempDir(), "absent.json"))
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

func TestLabels(t *testing.T) {
	open := data([3]string{"Q", "", "A"}, [3]string{"Q", "i", "A"}, [3]string{"R", "", "B"})
	first, second := record.Made(0, "Q", "", "A").Key, record.Made(0, "Q", "i", "A").Key
	least := 3.0
	for name, c := range map[string]struct {
		text string
		o    LabelOptions
		want Labels
	}{
		"by index, one not in the data": {`{"index":1,"keep":true}` + "\n" + `{"index":0,"keep":false}` + "\n" + `{"index":9,"keep":true}`, LabelOptions{Open: open},
			Labels{{second, 1, 1, true, true}, {first, 0, 0, false, true}, {record.Key{}, 9, 1, true, true}}},
		"by key": {`[{"key":"` + first.String() + `","good":1},{"key":"` + second.String() + `","good":0}]`, LabelOptions{},
			Labels{{first, -1, 1, true, true}, {second, -1, 0, false, true}}},
		"by texts, in the data itself": {`[{"instruction":"Q","input":"","output":"A","score":4.5},{"instruction":"Q","input":"i","response":"A","score":2},{"instruction":"Q","output":"A","score":4.5}]`, LabelOptions{Min: &least},
			Labels{{first, -1, 4.5, true, false}, {second, -1, 2, false, false}}},
		"a score without a cut": {`{"index":1,"score":4}`, LabelOptions{Open: open}, Labels{{second, 1, 4, false, false}}},
		"one of several": {`{"index":1,"score":4,"keep":true}` + "\n" + `{"index":0,"score":1,"keep":null}`, LabelOptions{Open: open, Field: "keep"},
			Labels{{second, 1, 1, true, true}}},
		"NaN is none": {`{"index":1,"score":4}` + "\n" + `{"index":0,"score":NaN}`, LabelOptions{Open: open}, Labels{{second, 1, 4, false, false}}},
		"a chat":      {`{"messages":[{"role":"user","content":"Q"},{"role":"assistant","content":"A"}],"keep":true}`, LabelOptions{}, Labels{{first, -1, 1, true, true}}},
	} {
		path := write(t, "gold", c.text)
		got, err := ReadLabels(path, c.o)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, %v, want %v", name, got, err, c.want)
		}
		if kind, err := Detect(path); kind != Labelled || err != nil {
			t.Errorf("%s: %q, %v, want labels", name, kind, err)
		}
	}
}

func TestLabelsRefused(t *testing.T) {
	chat := `{"messages":[{"role":"user","content":"Q"},{"role":"assistant","content":"A"},{"role":"user","content":"Q"},{"role":"assistant","content":"A"}]`
	for _, c := range []struct {
		text  string
		o     LabelOptions
		parts []string
	}{
		{`{"index":0,"kept_accuracy":true,"kept_helpfulness":false}`, LabelOptions{}, []string{"kept_accuracy, kept_helpfulness", "--label"}},
		{`{"index":0,"note":"fine"}`, LabelOptions{}, []string{"no label"}},
		{`{"index":0,"keep":true}`, LabelOptions{}, []string{"gold:1:", "--data"}},
		{`{"index":0,"keep":true}`, LabelOptions{Field: "kept"}, []string{`no object of`, `"kept"`}},
		{`{"index":0,"keep":"yes"}`, LabelOptions{Field: "keep"}, []string{"gold:1:", `is "yes", want true, false or a number`}},
		{`{"index":0,"keep":true}` + "\n" + `{"index":1,"keep":1}`, LabelOptions{Open: data()}, []string{"gold:2:", "gold:1", "booleans or numbers throughout"}},
		{`{"index":-1,"keep":true}`, LabelOptions{}, []string{"gold:1:", `"index" is -1`}},
		{`{"index":1.5,"keep":true}`, LabelOptions{}, []string{`"index" is 1.5`}},
		{`{"index":1e300,"keep":true}`, LabelOptions{}, []string{`"index" is 1e300`}},
		{`{"keep":1e999}`, LabelOptions{Field: "keep"}, []string{`1e999`}},
		{`{"keep":true}`, LabelOptions{}, []string{"gold:1:", "names no record"}},
		{`{"key":"abc","keep":true}`, LabelOptions{}, []string{"gold:1:", `"key" is "abc", want the 32`}},
		{`{"instruction":"Q","output":"A","keep":true}` + "\n" + `{"index":0,"keep":false}`, LabelOptions{Open: data([3]string{"Q", "", "A"})}, []string{"gold:2: the label is 0, but 1 at ", "gold:1,"}},
		{chat + `,"keep":true}`, LabelOptions{}, []string{"gold:1:", "names no record"}},
	} {
		_, err := ReadLabels(write(t, "gold", c.text), c.o)
		refuses(t, err, c.parts...)
	}
	turns := func() (record.Source, error) {
		return record.FromList(record.Parse([]byte(chat+"}"), 0, "chat", 3, record.Fields{})), nil
	}
	_, err := ReadLabels(write(t, "gold", `{"index":0,"keep":true}`), LabelOptions{Open: turns})
	refuses(t, err, "gold:1", "chat:3", "2 turns")
	broken := errors.New("broken")
	_, err = ReadLabels(write(t, "gold", `{"index":0,"keep":true}`), LabelOptions{Open: func() (record.Source, error) { return nil, broken }})
	if !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}

func TestTexts(t *testing.T) {
	list, err := Texts(write(t, "gold", `{"instruction":"Q","output":"A","keep":true}`+"\n"+`{"index":3,"keep":true}`+"\n"+`{"instruction":"Q","response":" ","keep":true}`))
	if err != nil || len(list) != 2 {
		t.Fatalf("%v, %v", list, err)
	}
	if list[0].Key != record.Made(0, "Q", "", "A").Key || list[0].Fault != nil {
		t.Errorf("%+v", list[0])
	}
	if f := list[1].Fault; f == nil || f.Status != record.EmptyResponse {
		t.Errorf("a blank response has the fault %v", f)
	}
}

func TestHalf(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var n, same int
	const keys = 10_000
	for range keys {
		var k record.Key
		for i := range k {
			k[i] = byte(random.Uint32())
		}
		n += Half(k, 1)
		if Half(k, 1) == Half(k, 2) {
			same++
		}
	}
	const spread = 4 * 50 // four standard deviations
	if n < keys/2-spread || n > keys/2+spread || same < keys/2-spread || same > keys/2+spread {
		t.Errorf("%d of %d in the second half, %d in the same with another seed", n, keys, same)
	}
	var bits []int
	for seed := range uint64(8) {
		bits = append(bits, Half(record.Made(0, "Q", "", "A").Key, seed))
	}
	if !reflect.DeepEqual(bits, []int{1, 0, 1, 1, 0, 1, 1, 1}) {
		t.Errorf("halves %v are others than those of earlier versions", bits)
	}
}

func FuzzGold(f *testing.F) {
	f.Add(`[{"input":NaN,"output_1":"a","output_2":"b","label":1}]`)
	f.Add(`{"index":1,"keep":true}`)
	f.Add(`{"instruction":"a","output":"b","keep":1}` + "\n" + `{"messages":[]}`)
	f.Fuzz(func(t *testing.T, text string) {
		path := write(t, "gold", text)
		kind, err := Detect(path)
		if err == nil && kind != Labelled && kind != Paired {
			t.Fatalf("kind %q", kind)
		}
		pairs, format, err := ReadPairs(path)
		if err == nil && (len(pairs) == 0 || format == "") {
			t.Fatalf("%d pairs of the format %q", len(pairs), format)
		}
		labels, err := ReadLabels(path, LabelOptions{Open: data([3]string{"a", "", "b"})})
		if err == nil && len(labels) == 0 {
			t.Fatal("no labels and no error")
		}
	})
}
