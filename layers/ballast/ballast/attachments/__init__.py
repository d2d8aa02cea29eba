"""Images and documents of a run: checked, kept in the payload bucket, and sent to a model.

::

    content ─▶ files    is it what it says? how large is it for a model?
                 └▶ store    the payload bucket, by tenant, run and hash
                      └▶ prompt   the blocks of a request, and the tokens that they may take

No content is ever in the log, in a payload of Step Functions, or in a function's output: only its hash is.
"""
