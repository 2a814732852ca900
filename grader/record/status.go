package record

// Status says whether a record has a rating, and if not, why. It is what the
// journal stores and reports count. Codes are stable: users match on them.
type Status string

// OK is the status of a rated record. Every other status means that the record
// has no rating, and comes with a reason.
const (
	OK Status = "ok"

	BadJSON       Status = "bad_json"       // the record's own bytes are not a JSON object
	BadRow        Status = "bad_row"        // the record's own bytes are not a row of its table
	InvalidUTF8   Status = "invalid_utf8"   // its bytes are not UTF-8
	WrongType     Status = "wrong_type"     // a field that must be a string is not
	NoInstruction Status = "no_instruction" // the instruction's key is missing, or neither it nor the input has a text
	NoResponse    Status = "no_response"    // the response's key is missing
	EmptyResponse Status = "empty_response" // the response is empty or white space
	TooLong       Status = "too_long"       // more tokens than the context holds
	BadTokens     Status = "bad_tokens"     // the tokenizer failed, or its output held a control token
	BadLogits     Status = "bad_logits"     // the model's numbers are not finite
	EngineFailed  Status = "engine_failed"  // the engine's process ends whenever it rates this record alone
	NotGraded     Status = "not_graded"     // the scores file has no entry for it
	OffScale      Status = "off_scale"      // too little probability on the scale's ratings
)

// Fault is the reason why one record cannot be rated. It never concerns any
// other record.
type Fault struct {
	Status Status
	Reason string // for people: what was found, what was expected
}

// Error returns the status and the reason.
func (f *Fault) Error() string { return string(f.Status) + ": " + f.Reason }
