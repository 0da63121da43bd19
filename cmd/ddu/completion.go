package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/deepuncertainty/ddu/experiments"
	"github.com/deepuncertainty/ddu/experiments/config"
	"github.com/deepuncertainty/ddu/experiments/dataset"
)

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help tells how to use the script.
func (completionCommand) Help() string {
	return `bash: source <(ddu completion bash), in ~/.bashrc to keep it.
zsh: source <(ddu completion zsh), in ~/.zshrc after compinit.
fish: ddu completion fish | source, or into ~/.config/fish/completions/ddu.fish.`
}

func (c *completionCommand) Run(term terminal) error {
	_, err := io.WriteString(term.out, strings.ReplaceAll(shellScripts[c.Shell], "COMPLETE", completeWords))
	return err
}

// completeWords is what the shells call: the words of the command line follow,
// the one to complete last. It is no command in the help.
const completeWords = "complete-words"

// filesToo is the line that asks the shell for names of files.
const filesToo = ":files"

// shellScripts ask the program for candidates, one a line with a tab before what
// it means. They know nothing of its commands, so that they never go out of date.
var shellScripts = map[string]string{
	"bash": `_ddu() {
	local line files=
	COMPREPLY=()
	while IFS= read -r line; do
		if [[ $line == :files ]]; then files=1; else COMPREPLY+=("${line%%$'\t'*}"); fi
	done < <("${COMP_WORDS[0]}" COMPLETE "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
	if [[ -n $files ]]; then
		compopt -o filenames 2>/dev/null
		while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]#=}")
	fi
}
complete -F _ddu ddu
`,
	"zsh": `#compdef ddu
_ddu() {
	local -a candidates
	local line files
	while IFS= read -r line; do
		if [[ $line == :files ]]; then
			files=1
		else
			candidates+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
		fi
	done < <("${words[1]}" COMPLETE "${(@)words[2,CURRENT]}" 2>/dev/null)
	(( $#candidates )) && _describe ddu candidates
	[[ -n $files ]] && _files
	return 0
}
if [[ ${funcstack[1]} == _ddu ]]; then _ddu; else compdef _ddu ddu; fi
`,
	"fish": `function __ddu_complete
	set -l words (commandline -opc) (commandline -ct)
	for line in ($words[1] COMPLETE $words[2..] 2>/dev/null)
		if test "$line" = :files
			__fish_complete_path (commandline -ct)
		else
			echo $line
		end
	end
end
complete -c ddu -f -a '(__ddu_complete)'
`,
}

// candidate is a word that may stand next.
type candidate struct{ word, help string }

// printCandidates answers a shell.
func printCandidates(w io.Writer, app *kong.Application, words []string) {
	list, files := complete(app.Node, words)
	for _, c := range list {
		help, _, _ := strings.Cut(c.help, ". ")
		fmt.Fprintf(w, "%s\t%s\n", c.word, help)
	}
	if files {
		fmt.Fprintln(w, filesToo)
	}
}

// complete lists what the last of words may become, and whether it may be a file
// as well.
func complete(node *kong.Node, words []string) (list []candidate, files bool) {
	if len(words) == 0 {
		words = []string{""}
	}
	last := words[len(words)-1]
	at, waiting := follow(node, words[:len(words)-1])
	switch {
	case waiting != nil:
		list, files = valuesOf(waiting, last)
	case strings.HasPrefix(last, "-"):
		name, value, given := strings.Cut(last, "=")
		if flag := findFlag(at, name); given && flag != nil {
			list, files = valuesOf(flag, value)
			for i := range list {
				list[i].word = name + "=" + list[i].word
			}
		} else {
			list = flagsOf(at)
		}
	default:
		for _, child := range at.Children {
			if !child.Hidden {
				list = append(list, candidate{child.Name, child.Help})
			}
		}
		if len(at.Positional) > 0 {
			var more []candidate
			more, files = valuesOfArgument(at)
			list = append(list, more...)
		}
	}
	list = slices.DeleteFunc(list, func(c candidate) bool { return !strings.HasPrefix(c.word, last) && last != "=" })
	slices.SortStableFunc(list, func(a, b candidate) int { return cmp.Compare(a.word, b.word) })
	return list, files
}

// follow walks along the words before the last. It returns the command that they
// lead to, and the flag whose value comes next, if one does. Bash takes
// --model=lenet apart into three words.
func follow(node *kong.Node, words []string) (at *kong.Node, waiting *kong.Flag) {
	at = node
	for _, word := range words {
		switch {
		case word == "=":
		case waiting != nil:
			waiting = nil
		case strings.HasPrefix(word, "-"):
			if flag := findFlag(at, word); flag != nil && !flag.IsBool() {
				waiting = flag
			}
		default:
			for _, child := range at.Children {
				if child.Name == word {
					at = child
					break
				}
			}
		}
	}
	return at, waiting
}

// findFlag returns the flag that a word names at a command, nil if none.
func findFlag(at *kong.Node, word string) *kong.Flag {
	word = publishedArguments([]string{commandName(at), word})[1]
	for node := at; node != nil; node = node.Parent {
		for _, f := range node.Flags {
			if word == "--"+f.Name || f.Short != 0 && word == "-"+string(f.Short) || slices.Contains(f.Aliases, strings.TrimPrefix(word, "--")) {
				return f
			}
		}
	}
	return nil
}

// commandName is the first word of a command.
func commandName(at *kong.Node) string {
	for at.Parent != nil && at.Parent.Parent != nil {
		at = at.Parent
	}
	return at.Name
}

func flagsOf(at *kong.Node) (list []candidate) {
	for node := at; node != nil; node = node.Parent {
		for _, f := range node.Flags {
			if f.Hidden {
				continue
			}
			list = append(list, candidate{"--" + f.Name, f.Help})
			if f.Tag.Negatable != "" {
				list = append(list, candidate{"--no-" + f.Name, f.Help})
			}
			if token := "-" + f.Name; slices.Contains(publishedCommands, commandName(at)) && slices.Contains(longTokens, token) {
				list = append(list, candidate{token, f.Help})
			}
		}
	}
	return list
}

// valuesOf lists the values of a flag. Where it takes a list, they come after the last
// comma of what is typed, and those before it are not offered again.
func valuesOf(f *kong.Flag, typed string) (list []candidate, files bool) {
	words := strings.Split(f.Enum, ",")
	if f.Enum == "" {
		words = wordsOf[f.Name]
	}
	if f.Name == "dataset" || f.Name == "ood-dataset" {
		words = dataset.Names()
	}
	before := ""
	if f.IsSlice() && f.Tag.Sep == ',' {
		before = typed[:strings.LastIndex(typed, ",")+1]
	}
	taken := strings.Split(before, ",")
	files = true
	for _, w := range words {
		if w == "" {
			continue
		}
		if files = false; !slices.Contains(taken, w) {
			list = append(list, candidate{before + w, ""})
		}
	}
	return list, files
}

// wordsOf are the values of flags that the keys of experiment files check.
var wordsOf = func() map[string][]string {
	words := map[string][]string{"model-type": {"softmax", "gmm", "ensemble"}, "loss": {"cross_entropy"}}
	flags := map[string]string{"model.name": "model", "train.optimizer": "opt", "eval.protocol": "protocol", "precision": "precision", "isa": "isa", "conv": "conv"}
	for _, k := range config.Keys() {
		if flag, ok := flags[k.Name]; ok {
			words[flag] = strings.Split(strings.TrimPrefix(k.Want, "one of "), ", ")
		}
	}
	return words
}()

// valuesOfArgument lists the values of a command's arguments.
func valuesOfArgument(at *kong.Node) (list []candidate, files bool) {
	for _, a := range at.Positional {
		for word := range strings.SplitSeq(a.Enum, ",") {
			if word != "" {
				list = append(list, candidate{word, ""})
			}
		}
	}
	if commandName(at) == "data" {
		for _, name := range dataset.Names() {
			list = append(list, candidate{name, ""})
		}
	}
	if at.Name == "run" {
		presets, err := config.Presets(experiments.Presets)
		if err == nil {
			for _, p := range presets {
				list = append(list, candidate{p.Name, p.Doc})
			}
		}
		return list, true
	}
	return list, len(list) == 0
}
