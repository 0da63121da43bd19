package main

import (
	"fmt"

	"github.com/deepuncertainty/ddu/experiments"
)

type compareCommand struct {
	Runs   []string `arg:"" name:"run" help:"Run folders, or result files (res_*.json). Runs that differ in their seeds alone are taken together."`
	Format string   `enum:"text,markdown,csv" default:"text" placeholder:"FORMAT" help:"Format of the table: text, markdown or csv (default: text)."`
	Figure string   `type:"path" placeholder:"FILE" help:"Draw the AUROCs into this .png or .svg file too."`
}

func (c *compareCommand) Run(term terminal) error {
	if c.Figure != "" {
		if err := experiments.CheckFigurePath(c.Figure); err != nil {
			return fmt.Errorf("--figure: %w", err)
		}
	}
	comparison, err := experiments.Compare(c.Runs)
	if err != nil {
		return err
	}
	text, err := comparison.Format(c.Format)
	if err != nil {
		return err
	}
	if c.Figure != "" {
		if err := comparison.WriteFigure(c.Figure); err != nil {
			return err
		}
	}
	_, err = fmt.Fprint(term.out, text)
	return err
}
