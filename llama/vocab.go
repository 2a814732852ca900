package llama

// #include "shim.h"
import "C"

import (
	"fmt"
	"math"
	"unsafe"
)

// Token is an index into a vocabulary.
type Token = int32

// NoToken stands for a special token that a vocabulary lacks.
const NoToken Token = C.LLAMA_TOKEN_NULL

// Attr is a set of a token's attributes.
type Attr uint32

// Attributes of tokens, as llama.cpp names them.
const (
	AttrUnknown     Attr = C.LLAMA_TOKEN_ATTR_UNKNOWN
	AttrControl     Attr = C.LLAMA_TOKEN_ATTR_CONTROL
	AttrUserDefined Attr = C.LLAMA_TOKEN_ATTR_USER_DEFINED
	AttrByte        Attr = C.LLAMA_TOKEN_ATTR_BYTE
)

// Vocab is a model's vocabulary. It may be used by any number of goroutines and
// must not be used after its Model was closed.
type Vocab struct {
	model *Model // keeps the C memory alive
	c     *C.struct_llama_vocab
	size  int
}

func newVocab(m *Model, c *C.struct_llama_vocab) *Vocab {
	return &Vocab{model: m, c: c, size: int(C.llama_vocab_n_tokens(c))}
}

// Size returns the number of tokens.
func (v *Vocab) Size() int { return v.size }

// BOS returns the beginning-of-sequence token, or NoToken.
func (v *Vocab) BOS() Token { return Token(C.llama_vocab_bos(v.c)) }

// EOS returns the end-of-sequence token, or NoToken.
func (v *Vocab) EOS() Token { return Token(C.llama_vocab_eos(v.c)) }

// EOT returns the end-of-turn token, or NoToken.
func (v *Vocab) EOT() Token { return Token(C.llama_vocab_eot(v.c)) }

// AddBOS reports whether the model wants BOS before every text.
func (v *Vocab) AddBOS() bool { return bool(C.llama_vocab_get_add_bos(v.c)) }

// IsEOG reports whether t ends a generation.
func (v *Vocab) IsEOG(t Token) bool {
	return v.has(t) && bool(C.llama_vocab_is_eog(v.c, C.llama_token(t)))
}

// Attr returns t's attributes; none for a token outside the vocabulary.
func (v *Vocab) Attr(t Token) Attr {
	if !v.has(t) {
		return 0
	}
	return Attr(C.llama_vocab_get_attr(v.c, C.llama_token(t)))
}

// Text returns t as the vocabulary spells it, such as "Ġthe" or "<|im_end|>".
func (v *Vocab) Text(t Token) string {
	if !v.has(t) {
		return ""
	}
	return C.GoString(C.llama_vocab_get_text(v.c, C.llama_token(t)))
}

func (v *Vocab) has(t Token) bool { return t >= 0 && int(t) < v.size }

// Tokenize appends the tokens of text to dst. Nothing is added in front. With
// special, text such as "<|im_end|>" becomes the control token of that name;
// without, it is plain text. Even then a vocabulary may form a control token by
// merging: callers that need to be sure look at Attr.
func (v *Vocab) Tokenize(dst []Token, text string, special bool) ([]Token, error) {
	if v.model.closed() {
		return dst, ErrClosed
	}
	if text == "" {
		return dst, nil
	}
	if len(text) > math.MaxInt32/2 {
		return dst, fmt.Errorf("tokenize: %d bytes are more than llama.cpp takes at once", len(text))
	}
	start := len(dst)
	room := len(text)/3 + 16
	for {
		dst = append(dst[:start], make([]Token, room)...)
		var threw errText
		n := C.shim_tokenize(v.c, (*C.char)(unsafe.Pointer(unsafe.StringData(text))), C.int32_t(len(text)),
			(*C.llama_token)(unsafe.Pointer(&dst[start])), C.int32_t(room), C.bool(special), &threw.buf[0], errBytes)
		switch {
		case n == C.SHIM_THREW:
			return dst[:start], &Error{Op: "llama_tokenize", Text: threw.String()}
		case n < 0:
			room = int(-n)
		default:
			return dst[:start+int(n)], nil
		}
	}
}

// Piece appends the bytes that t stands for to dst. Control tokens stand for
// nothing unless special is set.
func (v *Vocab) Piece(dst []byte, t Token, special bool) ([]byte, error) {
	if v.model.closed() {
		return dst, ErrClosed
	}
	if !v.has(t) {
		return dst, fmt.Errorf("piece: token %d is not in the vocabulary of %d tokens", t, v.size)
	}
	start, room := len(dst), 32
	for {
		dst = append(dst[:start], make([]byte, room)...)
		var threw errText
		n := C.shim_token_to_piece(v.c, C.llama_token(t), (*C.char)(unsafe.Pointer(&dst[start])), C.int32_t(room),
			C.bool(special), &threw.buf[0], errBytes)
		switch {
		case n == C.SHIM_THREW:
			return dst[:start], &Error{Op: "llama_token_to_piece", Text: threw.String()}
		case n < 0:
			room = int(-n)
		default:
			return dst[:start+int(n)], nil
		}
	}
}

func (m *Model) closed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.c == nil
}
