//! `GET /kickstart/<NAME>`: the file of that name, with the asking node's values in it.

use content::FileName;

use crate::{
    Error,
    boot::{self, Delivery},
    call::Call,
};

pub(crate) async fn get(call: &Call) -> Result<Delivery, Error> {
    let name =
        FileName::parse(call.param("name").as_bytes()).map_err(content::ContentError::from)?;
    boot::deliver(call, &name).await
}
