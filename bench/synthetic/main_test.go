package synthetic

import (
	"log/slog"
	"os"
	"testing"
)

// TestMain silences llama.cpp, which tells of every tensor it quantizes.
func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}
