"""The metric audit: on models of which the truth is known, do the metrics tell it? Run by `igmu audit`.

`truth` says what must hold, `gather` draws and looks, `measures` puts numbers on it, and the others ask: `checks`,
`agreement`, `stability`, `noisy`, `candidates`. `page` and `figure` write down what was found, whatever it is.
"""
