package main

import "testing"

func TestCommittedIsGenerated(t *testing.T) {
	if err := generate("../..", false); err != nil {
		t.Fatal(err)
	}
}
