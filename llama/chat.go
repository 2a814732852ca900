package llama

// #include "shim.h"
import "C"

import (
	"errors"
	"unsafe"
)

// Message is one turn of a chat.
type Message struct{ Role, Content string }

// ErrUnknownTemplate is returned by ApplyChatTemplate for a template that
// llama.cpp does not know.
var ErrUnknownTemplate = errors.New("llama: llama.cpp does not know this chat template")

// ApplyChatTemplate formats messages, up to and including the opening of the
// assistant's turn. llama.cpp has no Jinja engine: it recognizes the shapes of
// well-known templates.
func ApplyChatTemplate(template string, messages []Message) (string, error) {
	if len(messages) == 0 {
		return "", errors.New("apply chat template: no messages")
	}
	ctemplate := C.CString(template)
	defer C.free(unsafe.Pointer(ctemplate))
	chat := make([]C.struct_llama_chat_message, len(messages))
	room := 256
	for i, m := range messages {
		chat[i].role, chat[i].content = C.CString(m.Role), C.CString(m.Content)
		defer C.free(unsafe.Pointer(chat[i].role))
		defer C.free(unsafe.Pointer(chat[i].content))
		room += 2 * (len(m.Role) + len(m.Content))
	}
	for {
		buf := make([]byte, room)
		var threw errText
		n := C.shim_chat_apply_template(ctemplate, &chat[0], C.size_t(len(chat)), true,
			(*C.char)(unsafe.Pointer(&buf[0])), C.int32_t(room), &threw.buf[0], errBytes)
		switch {
		case n == C.SHIM_THREW:
			return "", &Error{Op: "llama_chat_apply_template", Text: threw.String()}
		case n < 0:
			return "", ErrUnknownTemplate
		case int(n) > room:
			room = int(n)
		default:
			return string(buf[:n]), nil
		}
	}
}
